#!/bin/sh
# Builds mediasoup-worker once per machine, from the npm package's sources and Debian's libraries, and puts it at
#   ${XDG_CACHE_HOME:-~/.cache}/kcs-meetings/mediasoup-worker-<version>-<recipe>
# Exits at once when it is there. `--is-built` only tells whether it is, `--name` how it is called, `--packages` what
# Debian packages it needs.
# Takes about 5 minutes on two cores, 1.2 GB of memory and 300 MB of disk in the cache.
# Without root it needs PACKAGES installed already. What is not obvious is explained in README.md.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
VERSION_PY=$HERE/../src/kcs_sfu/mediasoup/version.py
VERSION=$(sed -n 's/^MEDIASOUP_VERSION = "\(.*\)"/\1/p' "$VERSION_PY")
NAME=mediasoup-worker-$VERSION-$(sed -n 's/^WORKER_RECIPE = //p' "$VERSION_PY")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kcs-meetings
TARGET=$CACHE/$NAME
DIR=$CACHE/build-$NAME
LOG=$DIR/build.log
PACKAGES="build-essential libssl-dev libuv1-dev libflatbuffers-dev flatbuffers-compiler pkgconf python3-venv"

case ${1:-} in
  --is-built) [ -x "$TARGET" ] && exit 0 || exit 1 ;;
  --name) echo "$NAME" && exit 0 ;;
  --packages) echo "$PACKAGES" && exit 0 ;;
esac

say() { echo "worker: $*"; }
die() {
  say "$1" >&2
  [ ! -s "$LOG" ] || { tail -n 15 "$LOG" >&2; say "the whole log: $LOG" >&2; }
  exit 1
}
run() { # run WHAT-IT-MEANS-WHEN-IT-FAILS COMMAND...
  meaning=$1
  shift
  "$@" >>"$LOG" 2>&1 || die "$meaning"
}

[ ! -x "$TARGET" ] || exit 0
mkdir -p "$DIR"
exec 9>"$DIR/lock" # two builds at once would tread on each other; the second finds the first one's result
command -v flock >/dev/null && flock 9
[ ! -x "$TARGET" ] || exit 0
cd "$DIR"
: >"$LOG"
say "building mediasoup-worker $VERSION, once per machine (about 5 minutes)"

command -v apt-get >/dev/null || die "this script needs Debian's apt-get; build mediasoup-worker $VERSION otherwise and set MEDIASOUP_WORKER_BIN"
command -v npm >/dev/null || die "npm is missing (Debian: apt-get install npm)"
# shellcheck disable=SC2086 # a list
MISSING=$(for p in $PACKAGES; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok' || echo "$p"; done)
if [ -n "$MISSING" ]; then
  say "1/6 installing $(echo $MISSING)"
  [ "$(id -u)" = 0 ] || die "not root, and missing: $(echo $MISSING). Install them with apt-get and run this again"
  # shellcheck disable=SC2086
  apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $MISSING >>"$LOG" 2>&1 || {
    run "no package lists: is there a network?" apt-get update
    run "packages cannot be installed: is there a network?" apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $MISSING
  }
else
  say "1/6 packages are there"
fi

say "2/6 sources: libsrtp2 from Debian"
mkdir -p apt/lists/partial
CODENAME=$(. /etc/os-release && echo "$VERSION_CODENAME") # in a subshell: that file sets VERSION too
for f in /etc/apt/sources.list.d/*.sources; do sed -n 's/^URIs: *//p' "$f" 2>/dev/null; done | head -1 >apt/mirror
[ -s apt/mirror ] || sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1 >apt/mirror
[ -s apt/mirror ] || die "no package mirror found in /etc/apt"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(cat apt/mirror) $CODENAME main" >apt/src.list
APT="apt-get -o Dir::Etc::sourcelist=$DIR/apt/src.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$DIR/apt/lists"
# shellcheck disable=SC2086
run "the package mirror cannot be reached: is there a network?" $APT update
# shellcheck disable=SC2086
run "libsrtp2's source cannot be downloaded: is there a network?" $APT source --download-only libsrtp2

say "3/6 sources: mediasoup $VERSION from npm"
run "mediasoup cannot be downloaded: is there a network?" npm pack --silent "mediasoup@$VERSION"
rm -rf package build
run "the npm package is damaged" tar xzf "mediasoup-$VERSION.tgz"
cp -r "$HERE"/overlay/*-* package/worker/subprojects/ # meson downloads nothing that has a folder
mkdir -p package/worker/subprojects/libsrtp2
run "libsrtp2's source is damaged" tar xzf libsrtp2_*.orig.tar.gz --strip-components=1 -C package/worker/subprojects/libsrtp2
DTLS=package/worker/src/RTC/DtlsTransport.cpp # see README.md: without this the first DTLS handshake crashes
sed -i 's/(operationType == BIO_CB_RETURN)/((operationType \& BIO_CB_RETURN) != 0)/' $DTLS
grep -q '((operationType & BIO_CB_RETURN) != 0)' $DTLS || die "the patch of $DTLS no longer fits mediasoup $VERSION"

say "4/6 meson and ninja from PyPI"
run "python3 -m venv failed" python3 -m venv venv
run "meson cannot be installed: is there a network?" venv/bin/pip install -q --disable-pip-version-check meson==1.12.1 ninja==1.13.2
PATH=$DIR/venv/bin:$PATH
run "meson failed" meson setup --wrap-mode=nodownload --buildtype release -Db_ndebug=true build package/worker

say "5/6 compiling"
{ nice ninja -C build mediasoup-worker 2>&1 || echo "kcs: ninja failed"; } | tee -a "$LOG" |
  sed -un 's/^\[\([0-9]*\)\/\([0-9]*\)\].*/\1 \2/p' |
  while read -r done all; do
    tenth=$((done * 10 / all))
    [ "$tenth" = "${last:-0}" ] || say "    $((tenth * 10)) %"
    last=$tenth
  done
[ -x build/mediasoup-worker ] || die "the compiler failed"

say "6/6 installing"
run "strip failed" strip -o mediasoup-worker build/mediasoup-worker
mv mediasoup-worker "$TARGET" # at once: whoever looks finds all of it or nothing
cd "$CACHE"
rm -rf "$DIR/package" "$DIR/build" "$DIR/venv" "$DIR/apt"
say "$TARGET"
