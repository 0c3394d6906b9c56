#!/usr/bin/env bash
# install.sh [HELM'S OPTIONS...]: builds the images, starts a cluster with a node where there is none, and installs the chart in
# it, or upgrades it there; returns when all is ready. As root. Release and namespace are called kcs, pools live in kcs-media.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
CHART=$HERE/../../charts/kcs-meetings
RELEASE=${KCS_RELEASE:-kcs}
NAMESPACE=${KCS_NAMESPACE:-kcs}

inside() { "$HERE/in.sh" "$@"; }

# Images that changed since the node took them. Pods that run keep theirs until they are replaced.
import_images() {
  [ "$(cat "$DIR/images-key" 2>/dev/null)" != "$(cat "$IMAGES/key")" ] || return 0
  say "images"
  inside --all ctr --address /run/containerd/containerd.sock --namespace k8s.io images import "$IMAGES/kcs-meetings.tar" >/dev/null
  cp "$IMAGES/key" "$DIR/images-key"
}

# Tells what hangs, and fails.
explain() {
  say "not ready; what there is:" >&2
  inside kubectl get pods,sfupools --all-namespaces -o wide >&2 || true
  inside kubectl get events --all-namespaces --field-selector type=Warning --sort-by .lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
  exit 1
}

"$HERE/images.sh"
if [ ! -e "$DIR/ready" ]; then
  "$HERE/up.sh" --node
  cp "$IMAGES/key" "$DIR/images-key"
fi
import_images
inside kubectl apply --server-side --force-conflicts -f "$CHART/crds" >/dev/null # Helm never changes CRDs that are there
say "helm upgrade --install $RELEASE"
images=$(cat "$DIR/images-key") # new images have the same tag: this replaces the pods
inside helm upgrade --install "$RELEASE" "$CHART" --namespace "$NAMESPACE" --create-namespace \
  --values "$HERE/values.yaml" --set-string "signaling.podAnnotations.images=$images,operator.podAnnotations.images=$images" --wait --timeout 180s "$@" >"$DIR/log/helm.log" 2>&1 || {
  tail -n 20 "$DIR/log/helm.log" >&2
  explain
}
if [ -n "$(inside kubectl --namespace kcs-media get sfupools --output name)" ]; then
  inside kubectl --namespace kcs-media wait --for=condition=Available sfupools --all --timeout 120s >/dev/null || explain
  inside kubectl --namespace kcs-media get sfupools
fi
say "ready; $HERE/in.sh helm test $RELEASE --namespace $NAMESPACE holds a call of two bots"
