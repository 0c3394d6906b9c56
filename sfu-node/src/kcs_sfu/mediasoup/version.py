"""The one place that names mediasoup's version; `sfu-node/worker/build.sh` reads it from here."""

MEDIASOUP_VERSION = "3.27.1"
