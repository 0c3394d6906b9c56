#!/usr/bin/env bash
# Builds the cluster's programs once per machine from programs/ (a Go module) and puts them in
#   ${XDG_CACHE_HOME:-~/.cache}/kcs-meetings/kubernetes/<key>
# Exits at once when they are there. `--is-built` only tells whether they are, `--dir` where (KUBEBUILDER_ASSETS, where it is
# set, names ready-made ones). kube is one program under many names: etcd kube-apiserver kube-controller-manager
# kube-scheduler kubelet kube-proxy kubectl helm. Needs only Go; takes 8 minutes on two idle cores, up to 20 on busy ones.
set -euo pipefail
cd "$(dirname "$0")/programs"
RECIPE=1 # counts what the key does not see: changes of the flags below
GO_NEEDED=1.26
NAMES=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl helm)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kcs-meetings/kubernetes
KEY=$({ echo "$RECIPE"; find . -type f | LC_ALL=C sort | xargs cat; } | sha256sum | cut -c1-16)
DIR=${KUBEBUILDER_ASSETS:-$CACHE/$KEY}
LOG=$CACHE/build-$KEY.log

say() { echo "kubernetes: $*"; }
die() {
  say "$1" >&2
  [ ! -s "$LOG" ] || { tail -n 15 "$LOG" >&2; say "the whole log: $LOG" >&2; }
  exit 1
}
is_built() { [ -x "$DIR/kube-apiserver" ]; }

case ${1:-} in
  --is-built) is_built && exit 0 || exit 1 ;;
  --dir) echo "$DIR" && exit 0 ;;
esac

if is_built; then exit 0; fi
[ -z "${KUBEBUILDER_ASSETS:-}" ] || die "there is no kube-apiserver in KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS"
mkdir -p "$CACHE"
exec 9>"$CACHE/lock" # two builds at once would tread on each other; the second finds the first one's result
flock -n 9 || { say "somebody builds already; waiting"; flock 9; }
if is_built; then exit 0; fi
: >"$LOG"

command -v go >/dev/null || die "Go is missing; $GO_NEEDED or newer is needed"
have=$(go env GOVERSION | tr -d go)
[ "$(printf '%s\n' $GO_NEEDED "$have" | sort -V | head -n 1)" = $GO_NEEDED ] || die "Go $GO_NEEDED or newer is needed, this is $have"
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0

module_version() { awk -v module="$1" '$1 == module { print $2; exit }' go.mod; }
KUBERNETES=$(module_version k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${KUBERNETES#v}"
say "building Kubernetes $KUBERNETES, once per machine (8 minutes or more)"

say "1/2 modules"
for attempt in 1 2 3; do # what has arrived stays
  go mod download >>"$LOG" 2>&1 && break
  [ $attempt != 3 ] || die "the modules cannot be downloaded: is there a network?"
done

say "2/2 compiling"
version=k8s.io/component-base/version
flags=("-s -w -X $version.gitVersion=$KUBERNETES -X $version.gitMajor=$major -X $version.gitMinor=$minor"
  "-X $version.gitTreeState=clean -X $version.gitCommit=unknown -X $version.buildDate=1970-01-01T00:00:00Z"
  "-X helm.sh/helm/v4/internal/version.version=$(module_version helm.sh/helm/v4)"
  "-X sigs.k8s.io/kwok/pkg/consts.Version=$(module_version sigs.k8s.io/kwok)")
programs=(./kube ./dns ./pause sigs.k8s.io/kwok/cmd/kwok)
packages=$(go list -deps "${programs[@]}" 2>>"$LOG" | wc -l)
unfinished=$CACHE/.$KEY
rm -rf "$unfinished"
mkdir "$unfinished"
{ nice go build -v -trimpath -o "$unfinished/" -ldflags "${flags[*]}" "${programs[@]}" 2>&1 || echo "kcs: go build failed"; } |
  tee -a "$LOG" | awk -v all="$packages" '{ tenth = int(NR * 10 / all) } tenth > last { last = tenth; print tenth * 10 " %"; fflush() }' |
  while read -r progress; do say "    $progress"; done
[ -x "$unfinished/kube" ] && [ -x "$unfinished/kwok" ] || die "the compiler failed"
mv "$unfinished/dns" "$unfinished/coredns"
for name in "${NAMES[@]}"; do ln -s kube "$unfinished/$name"; done
mv "$unfinished" "$DIR" # at once: whoever looks finds all of it or nothing
say "$DIR"
