#!/usr/bin/env bash
# in.sh CMD...     runs CMD (kubectl, pytest, a browser) in the network of a cluster with a node
# in.sh --all CMD  in all its namespaces (ctr, nft)
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ -e "$DIR/ready" ] || die "there is no cluster with a node in $DIR; up.sh --node starts one"
export KUBECONFIG=$DIR/admin.kubeconfig PATH=$BIN:$PATH
namespaces=(--net)
if [ "$1" = --all ]; then
  namespaces+=(--mount --pid --ipc --uts --cgroup)
  shift
fi
exec nsenter --target "$(cat "$DIR/pid/namespaces-init")" "${namespaces[@]}" "$@"
