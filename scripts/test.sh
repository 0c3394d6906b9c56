#!/usr/bin/env bash
# Runs the tests, all of them whatever fails; see CONTRIBUTING.md. `make test` has set up what they need.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
mkdir -p .run
failed=0

# The operator's tests wait most of their time, for pods, leases and watches: others run beside them,
# but for those that measure how soon people in a call notice something.
rooms=tests/kcs_signaling
log=.run/operator-tests.log
python -m pytest tests/kcs_operator >"$log" 2>&1 &
operator=$!
trap 'kill $operator 2>/dev/null || true' EXIT
python -m pytest tests --ignore tests/kcs_operator --ignore $rooms || failed=1
python -m pytest $rooms/records $rooms/rest || failed=1
wait $operator || failed=1
cat "$log"

python -m pytest $rooms --ignore $rooms/records --ignore $rooms/rest || failed=1
(cd web && npm test --silent) || failed=1
python -m pytest e2e --ignore e2e/cluster || failed=1
exit $failed
