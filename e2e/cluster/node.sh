# Sourced by up.sh and down.sh: a real node. The whole cluster then lives in namespaces of its own (network,
# mounts, processes, cgroups, names), which end, with all that is in them, when their first process ends.

check_node_needs() {
  [ "$(id -u)" = 0 ] || die "a real node needs root (the API server alone, controllers and fake nodes do not)"
  local missing=() needed
  for needed in containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins iptables:iptables \
    nft:nftables conntrack:conntrack ip:iproute2 nsenter:util-linux pgrep:procps; do
    command -v "${needed%%:*}" >/dev/null || missing+=("${needed#*:}")
  done
  [ ${#missing[@]} = 0 ] || die "missing for a real node: apt-get install ${missing[*]}"
  [ -d /sys/fs/cgroup/memory ] || die "a real node needs cgroups of version 1 (or both versions side by side) here"
}

# On the outside: a control group in each hierarchy, so that nothing lands outside them, and fresh namespaces.
enter_namespaces() {
  local hierarchy controller own
  mkdir -p "$DIR/cgroup"
  for hierarchy in /sys/fs/cgroup/*; do
    [ "$(stat -fc %T "$hierarchy")" = cgroupfs ] || continue
    controller=$(basename "$hierarchy")
    own=$hierarchy$(own_cgroup "$controller")
    own=${own%/}/kcs-cluster-$$
    mkdir "$own"
    if [ "$controller" = cpuset ]; then
      cat "${own%/*}/cpuset.cpus" >"$own/cpuset.cpus"
      cat "${own%/*}/cpuset.mems" >"$own/cpuset.mems"
    fi
    echo "$own" >"$DIR/cgroup/$controller"
  done
  export CLUSTER_DIR=$DIR CLUSTER_IMAGES=$IMAGES
  start namespaces bash -c 'for group in cgroup/*; do echo $$ >"$(cat "$group")/cgroup.procs"; done
    exec unshare --mount --net --cgroup --ipc --uts --pid --fork --kill-child --mount-proc --propagation slave \
      "$0" --inside-node' "$HERE/up.sh"
  wait_for 180 namespaces test -e "$DIR/ready"
  pgrep -P "$(cat "$DIR/pid/namespaces")" >"$DIR/pid/namespaces-init"
}

# Where this shell stands in a hierarchy of cgroup version 1.
own_cgroup() {
  awk -F: -v wanted="$1" '{
    count = split($2, names, ",")
    for (i = 1; i <= count; i++) if (names[i] == wanted || names[i] == "name=" wanted) print $3
  }' /proc/self/cgroup
}

leave_namespaces() {
  stop namespaces # --kill-child ends their first process with it, and the kernel all others
  local group
  for group in $(cat "$DIR"/cgroup/*); do
    for _ in $(seq 50); do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$group" ] || break
      sleep 0.1
    done
    [ ! -d "$group" ] || say "left: $group" >&2
  done
}

# On the inside: everything, and then the first process's one duty.
run_node() {
  cd "$DIR"
  prepare_mounts
  prepare_network
  start_containerd
  load_images pause "$IMAGES" &
  local loading=$!
  start_api_server 6443 0.0.0.0 $NODE_IP
  start_controllers
  start_kubelet
  wait $loading
  wait_for 60 kubelet kubectl wait --for=condition=Ready "node/$NODE" --timeout=1s
  touch ready
  exec "$BIN/pause"
}

prepare_mounts() {
  local controller options
  hostname "$NODE"
  mount -t sysfs sysfs /sys
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for controller in $(ls cgroup); do
    options=$controller
    [ "$controller" != systemd ] || options=none,name=systemd
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$controller"
  done
  mount -t tmpfs tmpfs /run
  mount -t tmpfs tmpfs /var/log
  mount --make-rshared /
}

prepare_network() {
  ip link set lo up
  ip link add node type veth peer name node-peer # a link that is up, for addresses of the node's own
  ip link set node-peer up
  ip address add $NODE_IP/24 dev node
  ip address add $DNS_IP/24 dev node
  ip link set node up
  ip route add default via 10.98.0.254 dev node # nobody is there: nothing leaves
  echo 1 >/proc/sys/net/ipv4/ip_forward
  [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
}

start_containerd() {
  [ "$(stat -fc %T "$DIR")" != overlayfs ] || SNAPSHOTTER=native # overlays cannot lie on overlays
  render containerd.toml >containerd.toml
  mkdir -p cni pause
  render bridge.conflist >cni/10-bridge.conflist
  start containerd containerd --config containerd.toml
  wait_for 60 containerd ctr --address /run/containerd/containerd.sock version
  cp "$BIN/pause" pause/
  "$HERE/images.py" layer pause-layer.tar pause
  echo '[{"name": "localhost/pause:1", "layers": ["pause-layer.tar"], "entrypoint": ["/pause"]}]' >pause.json
  "$HERE/images.py" archive pause/pause.tar pause.json
}

# load_images FOLDER...: the archives in them that containerd does not have yet, or not as they are now.
load_images() {
  local archive loaded
  mkdir -p "$DIR/loaded"
  for archive in $(find "$@" -maxdepth 1 -name '*.tar' 2>/dev/null); do
    loaded=$DIR/loaded/$(basename "$archive")
    [ ! "$loaded" -nt "$archive" ] || continue
    ctr --address /run/containerd/containerd.sock --namespace k8s.io images import "$archive"
    touch "$loaded"
  done
}

start_kubelet() {
  echo "nameserver $DNS_IP" >resolv.conf
  render kubelet.yaml >kubelet.yaml
  render kube-proxy.yaml >kube-proxy.yaml
  render Corefile >Corefile
  start kubelet "$BIN/kubelet" --config kubelet.yaml --kubeconfig kubelet.kubeconfig --root-dir "$DIR/kubelet" \
    --hostname-override $NODE --node-ip $NODE_IP
  start kube-proxy "$BIN/kube-proxy" --config kube-proxy.yaml
  start coredns "$BIN/coredns" -conf Corefile
}
