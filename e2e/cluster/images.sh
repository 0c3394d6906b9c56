#!/usr/bin/env bash
# Builds the chart's images for tests, without a registry, a daemon or root: Debian packages that are unpacked (none of their
# scripts runs), Python packages by the lock file's hashes, our own sources. One OCI archive with all of them:
#   ${XDG_CACHE_HOME:-~/.cache}/kcs-meetings/images/kcs-meetings.tar
# Layers are kept beside it by what they are made of, so that a change of our sources takes seconds. `--dir` only tells where,
# `--is-built` only whether it is current. The images for production are those of images/*/Containerfile.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
cd "$HERE/../.."
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kcs-meetings
DIR=$CACHE/images
LOG=$DIR/build.log
TAG=${KCS_IMAGE_TAG:-dev}
PATH=$PWD/.venv/bin:$CACHE/uv/bin:$PATH
RECIPE=3 # counts what the keys do not see: changes of the functions below
export LC_ALL=C

# What each layer adds to those below it. Packages of maintainers' scripts, init systems and documentation are left out, and
# check_libraries says when a program misses one.
BASE=(libc6 libc-bin libgcc-s1 libstdc++6 gcc-12-base libcrypt1 zlib1g libssl3 ca-certificates netbase media-types tzdata busybox-static)
PYTHON=(python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libexpat1 libffi8 libbz2-1.0 liblzma5 libsqlite3-0
  libuuid1 libnsl2 libtirpc3)
SYSTEMD=(libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1)
KERBEROS=(libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libcom-err2 libldap-2.5-0 libsasl2-2 libgnutls30
  libp11-kit0 libidn2-0 libunistring2 libtasn1-6 libnettle8 libhogweed6 libgmp10 libffi8)
WORKER=(libuv1)
REDIS=(redis-server redis-tools libatomic1 libjemalloc2 liblzf1 "${SYSTEMD[@]}")
COTURN=(coturn libpq5 libmariadb3 libhiredis0.14 libevent-core-2.1-7 libevent-extra-2.1-7 libevent-openssl-2.1-7
  libevent-pthreads-2.1-7 "${SYSTEMD[@]}" "${KERBEROS[@]}")
POSTGRESQL=(postgresql-15 postgresql-client-15 libpq5 libicu72 libxml2 libxslt1.1 libpam0g libaudit1 libcap-ng0 libuuid1
  libreadline8 libtinfo6 "${SYSTEMD[@]}" "${KERBEROS[@]}")

say() { echo "images: $*"; }
die() { say "$*" >&2; [ ! -s "$LOG" ] || { tail -n 15 "$LOG" >&2; say "the whole log: $LOG" >&2; }; exit 1; }
hash_of() { sha256sum | cut -c1-16; }
worker() { echo "${MEDIASOUP_WORKER_BIN:-$CACHE/$(sfu-node/worker/build.sh --name)}"; }
sources() { # everything that our own layers are made of, as one hash per folder
  find "$@" -type f -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
}

# layer NAME INPUTS FUNCTION ARGUMENTS...: makes the layer unless there is one that was made of the same.
layer() {
  local name=$1 key root
  key=$(printf '%s\n' "$RECIPE" "${@:2}" | hash_of)
  shift 2
  LAYERS[$name]=$DIR/layers/$name-$key.tar
  [ ! -e "${LAYERS[$name]}" ] || return 0
  say "$name"
  root=$(mktemp -d "$DIR/tmp.XXXXXX")
  "$@" "$root" >>"$LOG" 2>&1 || die "the layer $name could not be made"
  python3 "$HERE/images.py" layer "${LAYERS[$name]}" "$root"
  rm -rf "$root"
}

unpack() { # PACKAGES... ROOT: what the packages hold
  local root=${!#} package
  set -- "${@:1:$#-1}"
  for package in "$@"; do
    dpkg-deb -x "$(ls "$DIR/debs/${package}_"*.deb)" "$root"
  done
  rm -rf "$root"/usr/share/{doc,man,locale,lintian,bash-completion,bug,postgresql/15/man} "$root"/usr/lib/postgresql/15/lib/bitcode \
    "$root"/etc/{init.d,default,cron.d,logrotate.d} "$root"/lib/systemd "$root"/usr/lib/python3.11/{idlelib,lib2to3,pydoc_data}
}

make_base() { # ROOT
  local root=$1 applet
  unpack "${BASE[@]}" "$root"
  mkdir -p "$root"/{tmp,proc,sys,dev,run,etc/ssl/certs,data}
  chmod 1777 "$root/tmp"
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  for applet in sh ls cat cp mkdir rm chmod touch ps kill sleep wget nslookup id env test; do ln -sf busybox "$root/bin/$applet"; done
  ln -s /bin/busybox "$root/usr/bin/env"
  printf 'root:x:0:0::/:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
}

make_python() { # ROOT
  unpack "${PYTHON[@]}" "$1"
  ln -sf python3.11 "$1/usr/bin/python3"
  ln -sf python3.11 "$1/usr/bin/python"
  compiled "$1/usr/lib/python3.11" /usr/lib/python3.11
}

# Bytecode that is never checked against its source: layers have no times, and a read-only root takes no new one.
compiled() { # FOLDER WHERE-IT-WILL-BE
  command -v python3.11 >/dev/null || return 0 # it starts slower then
  python3.11 -m compileall -q -j 2 --invalidation-mode unchecked-hash -s "$1" -p "$2" -x '/kubernetes/client/' "$1" || true # the client
  # of the two that we do not use; templates that are no Python
}

make_libraries() { # [EXTRA] ROOT: the libraries that all services need, or what the extra needs beside them
  local extra= root=${!#} target=${!#}/usr/lib/python3/dist-packages list
  [ $# -eq 1 ] || extra=$1
  list=$root.txt
  mkdir -p "$target"
  images/requirements.sh >"$list"
  [ -z "$extra" ] || images/requirements.sh "$extra" | grep -vxFf "$list" >"$list.extra"
  [ -z "$extra" ] || mv "$list.extra" "$list"
  uv pip install -q --target "$target" --python-version 3.11 --python-platform x86_64-manylinux_2_36 --only-binary :all: \
    --no-deps --require-hashes -r "$list"
  rm -rf "$list" "$target"/bin "$target"/.lock "$target"/*/tests
  compiled "$target" /usr/lib/python3/dist-packages
}

make_ours() { # PROGRAM MODULE "PACKAGES" ROOT: our sources, and the program that starts them
  local program=$1 module=$2 packages=$3 root=$4 package target=$4/usr/lib/python3/dist-packages
  mkdir -p "$target" "$root/usr/local/bin"
  for package in $packages; do cp -r "$package" "$target/"; done
  find "$target" -name __pycache__ -prune -exec rm -rf {} +
  compiled "$target" /usr/lib/python3/dist-packages
  printf '#!/usr/bin/python3\nfrom %s import main\n\nmain()\n' "$module" >"$root/usr/local/bin/$program"
  chmod 755 "$root/usr/local/bin/$program"
}

make_web() { mkdir -p "$1/usr/share/kcs-meetings" && cp -r web/dist "$1/usr/share/kcs-meetings/web"; }
make_worker() {
  unpack "${WORKER[@]}" "$1"
  mkdir -p "$1/usr/local/bin" && cp "$(worker)" "$1/usr/local/bin/mediasoup-worker"
}
make_coturn() { unpack "${COTURN[@]}" "$1"; }
make_coturn_wrapper() { mkdir -p "$1/usr/local/bin" && install -m 755 images/coturn/kcs_coturn.py "$1/usr/local/bin/kcs-coturn"; }
make_redis() { unpack "${REDIS[@]}" "$1"; }
make_postgresql() {
  unpack "${POSTGRESQL[@]}" "$1"
  mkdir -p "$1/usr/local/bin"
  install -m 755 images/postgresql/kcs-postgresql "$1/usr/local/bin/"
  ln -s /usr/lib/postgresql/15/bin/{postgres,initdb,pg_isready,psql,pg_dump,pg_restore,pg_ctl,createdb} "$1/usr/local/bin/"
}

download() { # the Debian packages that are not there yet
  mkdir -p "$DIR/debs"
  local wanted=() package
  for package in $(printf '%s\n' "${BASE[@]}" "${PYTHON[@]}" "${WORKER[@]}" "${REDIS[@]}" "${COTURN[@]}" "${POSTGRESQL[@]}" | sort -u); do
    ls "$DIR/debs/${package}_"*.deb >/dev/null 2>&1 || wanted+=("$package")
  done
  [ ${#wanted[@]} -eq 0 ] && return
  say "${#wanted[@]} Debian packages"
  (cd "$DIR/debs" && apt-get download -q "${wanted[@]}") >>"$LOG" 2>&1 ||
    die "apt-get download failed (is there a network? are the package lists there: apt-get update?)"
}

check_libraries() { # PROGRAM LAYERS...: the image holds all libraries that the program is linked to
  local program=$1 root name
  shift
  root=$(mktemp -d "$DIR/tmp.XXXXXX")
  for name; do tar -xf "${LAYERS[$name]}" -C "$root"; done
  "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --inhibit-cache --library-path \
    "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" --list "$root$program" >"$DIR/ldd.txt" 2>&1 || true
  rm -rf "$root"
  if grep -E 'not found|error while' "$DIR/ldd.txt"; then die "$program misses libraries in its image"; fi
  if grep ' => /' "$DIR/ldd.txt" | grep -v "$root"; then die "$program takes libraries from outside its image"; fi
}

check_imports() { # MODULE LAYERS...: all that the program imports is in its image
  local module=$1 root name
  shift
  command -v python3.11 >/dev/null || return 0
  root=$(mktemp -d "$DIR/tmp.XXXXXX")
  for name; do tar -xf "${LAYERS[$name]}" -C "$root"; done
  PYTHONPATH=$root/usr/lib/python3/dist-packages python3.11 -S -c "import $module" 2>"$DIR/imports.txt" ||
    { rm -rf "$root"; die "$module misses something in its image: $(tail -n 1 "$DIR/imports.txt")"; }
  rm -rf "$root"
}

image() { # NAME PROGRAM "ENV AS JSON" LAYERS...
  local name=$1 program=$2 env=$3 layers
  shift 3
  layers=$(for each; do printf '"%s",' "${LAYERS[$each]}"; done)
  IMAGES+=("{\"name\": \"localhost/kcs-meetings/$name:$TAG\", \"entrypoint\": [\"$program\"], \"env\": $env, \"layers\": [${layers%,}]}")
}

key() {
  { echo "$RECIPE $TAG" && cat "$HERE/images.sh" "$HERE/images.py" pyproject.toml requirements.lock "$(worker)" &&
    sources contracts/src signaling/src sfu-node/src operator/src web/dist images; } | hash_of
}

[ "${1:-}" != --dir ] || { echo "$DIR"; exit 0; }
is_built() { [ -e "$DIR/kcs-meetings.tar" ] && [ "$(cat "$DIR/key" 2>/dev/null)" = "$KEY" ]; }
[ -x "$(worker)" ] || die "there is no mediasoup worker: sfu-node/worker/build.sh makes it"
[ -d web/dist ] || die "the web client is not built: scripts/setup.sh run does"
KEY=$(key)
if [ "${1:-}" = --is-built ]; then is_built; exit; fi
if is_built; then exit 0; fi

mkdir -p "$DIR/layers"
exec 9>"$DIR/lock" # two builds at once would tread on each other; the second finds the first one's result
flock 9
if is_built; then exit 0; fi
: >"$LOG"
rm -rf "$DIR"/tmp.*
declare -A LAYERS=()
IMAGES=()
began=$SECONDS
download
debs() { for package; do ls "$DIR/debs/${package}_"*.deb; done; }

layer base "$(debs "${BASE[@]}")" make_base
layer python "$(debs "${PYTHON[@]}")" make_python
layer libraries "$(cat pyproject.toml requirements.lock)" make_libraries
for service in signaling sfu operator; do
  layer "libraries-$service" "$(cat pyproject.toml requirements.lock)" make_libraries $service
done
layer worker "$(debs "${WORKER[@]}"; sha256sum "$(worker)")" make_worker
layer web "$(sources web/dist)" make_web
CONTRACTS=contracts/src/kcs_contracts
for service in "signaling kcs-signaling kcs_signaling.main signaling/src/kcs_signaling" \
  "sfu kcs-sfu-node kcs_sfu.agent.main sfu-node/src/kcs_sfu" "operator kcs-operator kcs_operator.main operator/src/kcs_operator"; do
  read -r name program module folder <<<"$service"
  layer "our-$name" "$(sources $CONTRACTS "$folder")" make_ours "$program" "$module" "$CONTRACTS $folder"
done
layer coturn "$(debs "${COTURN[@]}")" make_coturn
layer our-coturn "$(sources images/coturn)" make_coturn_wrapper
layer redis "$(debs "${REDIS[@]}")" make_redis
layer postgresql "$(debs "${POSTGRESQL[@]}"; sources images/postgresql)" make_postgresql

check_libraries /usr/bin/python3.11 base python
check_libraries /usr/local/bin/mediasoup-worker base worker
check_libraries /usr/bin/turnserver base python coturn
check_libraries /usr/bin/redis-server base redis
check_libraries /usr/lib/postgresql/15/bin/postgres base postgresql
check_imports kcs_signaling.main libraries libraries-signaling our-signaling
check_imports kcs_sfu.agent.main libraries libraries-sfu our-sfu
check_imports kcs_operator.main libraries libraries-operator our-operator

image signaling kcs-signaling '{"KCS_HTTP__WEB_DIR": "/usr/share/kcs-meetings/web"}' base python libraries libraries-signaling web our-signaling
image sfu-node kcs-sfu-node '{"MEDIASOUP_WORKER_BIN": "/usr/local/bin/mediasoup-worker"}' base python libraries libraries-sfu worker our-sfu
image operator kcs-operator '{}' base python libraries libraries-operator our-operator
image coturn kcs-coturn '{}' base python coturn our-coturn
image redis redis-server '{}' base redis
image postgresql kcs-postgresql '{}' base postgresql
(IFS=,; echo "[${IMAGES[*]}]") >"$DIR/images.json"
python3 "$HERE/images.py" archive "$DIR/kcs-meetings.tar" "$DIR/images.json"
echo "$KEY" >"$DIR/key"
for each in "$DIR"/layers/*.tar; do # of former sources
  case " ${LAYERS[*]} " in *" $each "*) ;; *) rm -f "$each" ;; esac
done
say "$DIR/kcs-meetings.tar after $((SECONDS - began)) s"
