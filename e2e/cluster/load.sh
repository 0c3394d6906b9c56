#!/usr/bin/env bash
# Gives the node of a running cluster the images of CLUSTER_IMAGES (*.tar) as they are now.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$HERE/node.sh"
if [ "${1:-}" = --inside ]; then
  load_images "$IMAGES"
else
  CLUSTER_IMAGES=$IMAGES "$HERE/in.sh" --all "$HERE/load.sh" --inside
fi
