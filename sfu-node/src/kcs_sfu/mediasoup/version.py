"""The one place that names the mediasoup version: the driver checks it, `sfu-node/worker/build.sh` reads it."""

MEDIASOUP_VERSION = "3.27.1"
