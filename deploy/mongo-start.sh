#!/usr/bin/env bash
# Starts MongoDB as the only member of a replica set. Members of a set with passwords must share a key file; with a
# single member nobody else needs to know it, so each start makes a new one.
set -euo pipefail

key_file=/tmp/replica-set-key
rm -f "$key_file"
(umask 277 && head -c 512 /dev/urandom | base64 -w 0 >"$key_file")

# Half a gigabyte of cache: by default it would take half the machine, which the workers need.
exec mongod --replSet rs0 --keyFile "$key_file" --bind_ip_all --dbpath /data/db --wiredTigerCacheSizeGB 0.5 --quiet
