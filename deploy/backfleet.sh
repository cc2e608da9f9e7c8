#!/bin/sh
# The `backfleet` command inside the image, where the packages are copied and not installed.
exec python -c 'import sys; from deploy.cli import main; sys.exit(main())' "$@"
