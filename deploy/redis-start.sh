#!/bin/sh
# Starts Redis with its append-only file in /data. The password comes by standard input and so shows in no process list.
set -eu

: "${REDISCLI_AUTH:?the password of Redis}"

exec redis-server - --port "${REDIS_PORT:-6379}" --dir "${REDIS_DIR:-/data}" --appendonly yes --save '' <<CONFIGURATION
requirepass "$REDISCLI_AUTH"
CONFIGURATION
