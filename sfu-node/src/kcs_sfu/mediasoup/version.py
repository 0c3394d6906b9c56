"""The one place that names mediasoup's version; `sfu-node/worker/build.sh` reads it from here."""

MEDIASOUP_VERSION = "3.27.1"

WORKER_RECIPE = 1
"""Counts the ways in which `build.sh` has built that version: a new number is a new build.

Raise it when a change of `build.sh` or `overlay/` changes the binary; a test notices such changes.
"""

WORKER_NAME = f"mediasoup-worker-{MEDIASOUP_VERSION}-{WORKER_RECIPE}"
"""The binary's file name in the cache."""
