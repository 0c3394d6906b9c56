#!/usr/bin/env bash
# Installs what a target of the Makefile needs and is not there yet: setup.sh run|test|check
# The worker's build is the long one: it starts first and runs beside the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
WANT=${1:?usage: setup.sh run|test|check}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kcs-meetings
mkdir -p "$CACHE" .run

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf '\n%s\n' "$*" >&2; exit 1; }

# A program, or a file, and the Debian package that brings it.
debian_packages() {
  local missing=()
  need() { command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2"); }
  need python3 python3
  need node nodejs
  need npm npm
  if [ "$WANT" != check ]; then
    need redis-server redis-server
    worker_is_there || for package in $(sfu-node/worker/build.sh --packages); do
      dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
  fi
  if [ "$WANT" = test ]; then
    need chromium chromium
    need /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
    need flatc flatbuffers-compiler
  fi
  [ ${#missing[@]} -eq 0 ] && return
  say "Debian packages: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || fail "These Debian packages are missing, and installing them needs root:
    sudo apt-get install ${missing[*]}
Install them and start again."
    as_root=(sudo -n)
  fi
  command -v apt-get >/dev/null || fail "Missing: ${missing[*]}. There is no apt-get here: install them by hand and start again."
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq)
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >.run/apt.log 2>&1 ||
    fail "apt-get could not install ${missing[*]} (is there a network?). Its last words:
$(tail -n 5 .run/apt.log)"
}

worker_is_there() { [ -n "${MEDIASOUP_WORKER_BIN:-}" ] || sfu-node/worker/build.sh --is-built; }

node_is_new_enough() {
  local version
  version=$(node --version | tr -d v)
  [ "${version%%.*}" -ge 20 ] || fail "Node.js 20 or newer is needed to build the web client; this is $version."
}

python_environment() {
  local stamp wanted
  wanted=$(cat pyproject.toml requirements.lock scripts/setup.sh | sha256sum)
  stamp=.venv/.kcs-setup
  [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ] && return
  say "Python packages"
  if ! command -v uv >/dev/null; then
    [ -x "$CACHE/uv/bin/uv" ] || {
      python3 -m venv "$CACHE/uv" && "$CACHE/uv/bin/pip" install -q uv
    } || fail "uv could not be installed (is there a network?)."
    PATH=$CACHE/uv/bin:$PATH
  fi
  export UV_PYTHON_DOWNLOADS=never
  [ -x .venv/bin/python ] || uv venv -q --python '>=3.11' .venv ||
    fail "Python 3.11 or newer is needed."
  uv pip sync -q --require-hashes requirements.lock && uv pip install -q --no-deps -e . ||
    fail "The Python packages could not be installed (is there a network?)."
  echo "$wanted" >$stamp
}

web_client() {
  local stamp wanted
  node_is_new_enough
  wanted=$(find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum)
  stamp=web/node_modules/.kcs-setup
  [ -f $stamp ] && [ -d web/dist ] && [ "$(cat $stamp)" = "$wanted" ] && return
  say "Web client: npm packages and build"
  (cd web && npm ci --silent --no-progress && npm run --silent build) >.run/web.log 2>&1 ||
    fail "The web client could not be built. Its last words:
$(tail -n 20 .run/web.log)"
  echo "$wanted" >$stamp
}

debian_packages
if [ "$WANT" != check ] && ! worker_is_there; then
  say "mediasoup worker: built once on this machine, some minutes, beside the next steps"
  sfu-node/worker/build.sh &
  worker=$!
  trap 'kill $worker 2>/dev/null || true' EXIT
fi
python_environment
web_client
if [ -n "${worker:-}" ]; then
  wait $worker || fail "The mediasoup worker could not be built; see the lines above."
  trap - EXIT
fi
