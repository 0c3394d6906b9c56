#!/usr/bin/env bash
# Everything that can be told without running the system. See CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
ruff check
ruff format --check
mypy
lint-imports
(cd web && npm run --silent check)
