#!/usr/bin/env bash
# The health check of MongoDB; exits 0 once it can be worked with. mongosh leaves a log in its home at every run, hence
# one that goes away with it.
set -euo pipefail

HOME=$(mktemp -d)
export HOME
trap 'rm -rf "$HOME"' EXIT

mongosh --quiet --norc "mongodb://127.0.0.1:27017/?directConnection=true" "$(dirname "$0")/mongo-ready.js"
