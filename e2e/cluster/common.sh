# Sourced by the scripts beside it: where things are, and how programs are started and stopped.
# Everything of one cluster lies in $DIR: pki/, log/, pid/ and start/, which has a script per program
# that starts it (again).
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=$(realpath -m "${CLUSTER_DIR:-$HERE/../../.run/cluster}")
BIN=$("$HERE/build.sh" --dir)
IMAGES=${CLUSTER_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/kcs-meetings/images}

SERVICES=10.96.0.0/16
PODS=10.97.0.0/16
NODE=node-1
NODE_IP=10.98.0.1
DNS_IP=10.98.0.10

say() { echo "cluster: $*"; }
die() { say "$*" >&2; exit 1; }

kubectl() { "$BIN/kubectl" --kubeconfig "$DIR/admin.kubeconfig" --request-timeout 10s "$@"; }

# start NAME COMMAND...: in the background, with $DIR as its directory (by which stop knows it).
start() {
  local name=$1
  shift
  command -v "$1" >/dev/null || die "there is no $1"
  cat >"$DIR/start/$name" <<SCRIPT
#!/bin/bash
cd $(printf %q "$DIR")
setsid$(printf ' %q' "$@") >>log/$name.log 2>&1 </dev/null &
echo \$! >pid/$name
SCRIPT
  chmod +x "$DIR/start/$name"
  "$DIR/start/$name"
}

# Whether the program still runs; a number that another program has by now is not it.
runs() {
  local pid
  pid=$(cat "$DIR/pid/$1" 2>/dev/null) && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$DIR" ]
}

# stop NAME: at once, with its children; nothing of the cluster is to be kept.
stop() {
  runs "$1" || return 0
  kill -KILL -- "-$(cat "$DIR/pid/$1")" 2>/dev/null
  until ! runs "$1"; do sleep 0.05; done
}

# wait_for SECONDS NAME COMMAND...: until COMMAND succeeds; gives up early when the program NAME ends.
wait_for() {
  local seconds=$1 name=$2 deadline
  shift 2
  deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if ! runs "$name" || [ $SECONDS -gt $deadline ]; then
      tail -n 5 "$DIR/log/$name.log" >&2
      die "$name did not come up ($*); its log: $DIR/log/$name.log"
    fi
    sleep 0.1
  done
}

# render FILE: a file of config/ with this cluster's names put in.
render() {
  sed -e "s#@DIR@#$DIR#g" -e "s#@NODE@#$NODE#g" -e "s#@PODS@#$PODS#g" -e "s#@DNS_IP@#$DNS_IP#g" \
    -e "s#@SNAPSHOTTER@#${SNAPSHOTTER:-overlayfs}#g" "$HERE/config/$1"
}
