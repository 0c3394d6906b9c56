#!/bin/sh
# requirements.sh [EXTRA]: what the project, and an extra of it, needs to run, as requirements.lock has it: a line per package,
# with its hashes. The images' libraries are installed from this; needs uv and the package index.
set -eu
cd "$(dirname "$0")/.."
uv pip compile -q --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 --python-platform linux \
  --constraint requirements.lock ${1:+--extra "$1"} pyproject.toml | sed -e ':a' -e '/\\$/N; s/\\\n *//; ta'
