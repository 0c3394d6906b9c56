#!/bin/sh
# Writes sfu-node/src/kcs_sfu/mediasoup/fbs: Python code of the worker's messages, by flatc from the npm package's .fbs files.
# Run it (`make generate` does) after changing the version in version.py, and commit the result.
# usage: generate_fbs.sh [FBS_DIR [OUT_DIR]]      FBS_DIR: worker/fbs of an unpacked mediasoup, else it is downloaded
set -eu
FLATC=2.0.8 # bookworm's: another version writes other code
flatc --version | grep -q "version $FLATC\$" || {
  echo "generate_fbs.sh: needs flatc $FLATC (Debian 12: apt-get install flatbuffers-compiler); here: $(flatc --version 2>&1)" >&2
  exit 1
}
HERE=$(cd "$(dirname "$0")" && pwd)
DRIVER=$HERE/../src/kcs_sfu/mediasoup
PACKAGE=kcs_sfu.mediasoup.fbs
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
FBS=${1:-}
OUT=${2:-$DRIVER/fbs}
if [ -z "$FBS" ]; then
  VERSION=$(sed -n 's/^MEDIASOUP_VERSION = "\(.*\)"/\1/p' "$DRIVER/version.py")
  (cd "$TMP" && npm pack --silent "mediasoup@$VERSION" >/dev/null && tar xzf "mediasoup-$VERSION.tgz")
  FBS=$TMP/package/worker/fbs
fi
mkdir "$TMP/fbs"
for f in "$FBS"/*.fbs; do # the namespace is not on the wire, but it is the Python package
  sed -E "s/\bFBS\./$PACKAGE./g" "$f" >"$TMP/fbs/$(basename "$f")"
done
(cd "$TMP/fbs" && flatc --python --gen-object-api -o ../out ./*.fbs)
chmod -R go+rX "$TMP/out" # flatc keeps its folders to itself, and images take their modes
rm -rf "$OUT"
mv "$TMP/out/$(echo "$PACKAGE" | tr . /)" "$OUT"
