#!/usr/bin/env bash
# Ends the cluster in CLUSTER_DIR: exactly the processes that up.sh recorded, and all that they left.
# --keep-logs leaves its log/ for whoever looks for the reason.
set -uo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$HERE/node.sh"

[ -d "$DIR/pid" ] || exit 0
[ "$(cat "$DIR/pid/watcher" 2>/dev/null)" = $$ ] || stop watcher # this is that process when the cluster's owner ended
[ ! -e "$DIR/pid/namespaces" ] || leave_namespaces
for name in kwok kube-scheduler kube-controller-manager kube-apiserver etcd; do stop $name; done
rm -rf --one-file-system "$(readlink "$DIR/etcd" || echo "$DIR/etcd")"
if [ "${1:-}" = --keep-logs ]; then
  find "$DIR" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf --one-file-system {} +
  exit
fi
rm -rf --one-file-system "$DIR"
