#!/usr/bin/env bash
# Writes the generated files again; what is up to date stays the same. See CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
python -m kcs_contracts.generate
python -m kcs_dev.settings_page
python -m kcs_dev.observability
sfu-node/worker/generate_fbs.sh
