# Sourced by up.sh: one certificate authority, and a certificate and a kubeconfig for each part.

make_pki() (
  umask 077
  mkdir -p "$DIR/pki"
  cd "$DIR/pki"
  key ca
  openssl req -x509 -new -key ca.key -subj /CN=kcs-test-ca -days 30 -out ca.crt
  key service-accounts
  openssl ec -in service-accounts.key -pubout -out service-accounts.pub
  local service=kubernetes.default.svc
  certificate api-server /CN=kube-apiserver "IP:127.0.0.1,IP:10.96.0.1,IP:$NODE_IP,DNS:localhost,$(printf 'DNS:%s,' \
    kubernetes kubernetes.default $service)DNS:$service.cluster.local"
  certificate admin /O=system:masters/CN=admin
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate proxy /CN=system:kube-proxy
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:127.0.0.1,IP:$NODE_IP"
) 2>"$DIR/log/pki.log"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# certificate NAME SUBJECT [ALTERNATIVE-NAMES]
certificate() {
  key "$1"
  printf '%s\n' "subjectAltName=${3:-DNS:$1}" "extendedKeyUsage=serverAuth,clientAuth" >"$1.ext"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt"
}

# make_kubeconfigs PORT: <name>.kubeconfig for each who talks to the API server.
make_kubeconfigs() {
  local name
  for name in admin controller-manager scheduler proxy kubelet; do
    cat >"$DIR/$name.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: cluster
contexts: [{name: cluster, context: {cluster: cluster, user: $name}}]
clusters: [{name: cluster, cluster: {server: "https://127.0.0.1:$1", certificate-authority: "$DIR/pki/ca.crt"}}]
users: [{name: $name, user: {client-certificate: "$DIR/pki/$name.crt", client-key: "$DIR/pki/$name.key"}}]
YAML
  done
}
