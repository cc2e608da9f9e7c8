#!/bin/sh
# What a container does before its command. numba uses compiled kernels only in a directory that it can write, even if
# it writes nothing; so each container has a copy of the image's, a few megabytes in its own /tmp.
set -eu

mkdir -p "$NUMBA_CACHE_DIR"
cp -R /opt/backfleet/kernels/. "$NUMBA_CACHE_DIR"
exec "$@"
