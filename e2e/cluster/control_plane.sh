# Sourced by up.sh: etcd, the API server, the controllers and kwok, as ordinary processes.

# start_api_server PORT BIND-ADDRESS ADVERTISED-ADDRESS
start_api_server() {
  local memory=/tmp # etcd writes much and for nobody: in memory where that is possible
  [ ! -w /dev/shm ] || memory=/dev/shm
  local etcd
  etcd=$(mktemp -d "$memory/kcs-etcd-XXXXXX") # which also keeps its sockets' names short
  ln -sfn "$etcd" "$DIR/etcd"
  start etcd "$BIN/etcd" --data-dir "$etcd/data" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "unix://$etcd/client" --advertise-client-urls http://localhost:2379 \
    --listen-peer-urls "unix://$etcd/peer"
  cp "$HERE/config/audit.yaml" "$DIR/"
  start kube-apiserver "$BIN/kube-apiserver" --etcd-servers "unix://$etcd/client" \
    --secure-port "$1" --bind-address "$2" --advertise-address "$3" \
    --endpoint-reconciler-type "$([ "$3" = 127.0.0.1 ] && echo none || echo lease)" \
    --service-cluster-ip-range $SERVICES --allow-privileged \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --client-ca-file pki/ca.crt --cert-dir pki \
    --tls-cert-file pki/api-server.crt --tls-private-key-file pki/api-server.key \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file pki/service-accounts.pub \
    --service-account-signing-key-file pki/service-accounts.key \
    --kubelet-certificate-authority pki/ca.crt --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key \
    --audit-policy-file audit.yaml --audit-log-path log/audit.jsonl --audit-log-maxsize 10000
  wait_for 120 kube-apiserver kubectl get --raw /readyz
}

start_controllers() {
  start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig controller-manager.kubeconfig \
    --leader-elect=false --secure-port 0 --use-service-account-credentials --root-ca-file pki/ca.crt \
    --service-account-private-key-file pki/service-accounts.key \
    --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key \
    --allocate-node-cidrs --cluster-cidr $PODS --node-cidr-mask-size 24
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig scheduler.kubeconfig --leader-elect=false --secure-port 0
  wait_for 60 kube-controller-manager kubectl get serviceaccount default
}

# Nodes with the annotation kwok.x-k8s.io/node=fake, and the pods on them, then seem to run.
start_fake_nodes() {
  start kwok "$BIN/kwok" --kubeconfig admin.kubeconfig --config "$HERE/config/kwok-stages.yaml" \
    --manage-all-nodes=false --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake \
    --node-lease-duration-seconds 40
}
