#!/usr/bin/env bash
# Writes the generated files again; what is up to date stays the same. See CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."
sfu-node/worker/generate_fbs.sh
