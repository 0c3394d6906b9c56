#!/usr/bin/env bash
# Starts a Kubernetes cluster of its own, on loopback, with all that it keeps in CLUSTER_DIR (.run/cluster):
#   up.sh               etcd, API server, controllers, scheduler; needs no root (10 s)
#   up.sh --api-server  etcd and API server alone (5 s)
#   up.sh --fake-nodes  the first, and kwok, whose nodes and pods only seem to run
#   up.sh --node        as root: the first, and a real node in private namespaces, on which pods run (15 s);
#                       it has the images of CLUSTER_IMAGES (*.tar); in.sh CMD runs a command in its network
# --until PID ends the cluster when that process ends. down.sh ends it.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$HERE/pki.sh"
. "$HERE/control_plane.sh"
. "$HERE/node.sh"

kind=controllers owner=
while [ $# -gt 0 ]; do
  case $1 in
    --api-server | --fake-nodes | --node | --inside-node) kind=${1#--} ;;
    --until) owner=$2 && shift ;;
    *) die "unknown option $1" ;;
  esac
  shift
done

# Below the ports that the kernel gives to clients, so that a restarted server finds it free.
free_port() {
  python3 -c '
import random, socket
while True:
    port = random.randrange(20000, 32000)
    try:
        socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break'
}

if [ "$kind" = inside-node ]; then # started by enter_namespaces
  run_node
fi

"$HERE/build.sh"
! [ -e "$DIR/pid" ] || die "there is a cluster in $DIR already; down.sh ends it"
mkdir -p "$DIR"/{log,pid,start}
trap '[ $? = 0 ] || "$HERE/down.sh" --keep-logs' EXIT
if [ -n "$owner" ]; then
  start watcher bash -c 'tail --pid="$1" -f /dev/null; exec "$2"' _ "$owner" "$HERE/down.sh"
fi
if [ "$kind" = node ]; then
  check_node_needs
  make_pki
  make_kubeconfigs 6443
  enter_namespaces
else
  port=$(free_port)
  make_pki
  make_kubeconfigs "$port"
  start_api_server "$port" 127.0.0.1 127.0.0.1
  [ $kind = api-server ] || start_controllers
  [ $kind != fake-nodes ] || start_fake_nodes
fi
