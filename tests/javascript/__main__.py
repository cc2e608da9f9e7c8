"""Installs what tests in JavaScript need, before their time limits run: `python -m tests.javascript`."""

from __future__ import annotations

import sys

from tests.javascript import FOLDER, INSPECTOR, NodeMissing, node_with_client

INSTALL_TIMEOUT_S = 300

for folder in (FOLDER, INSPECTOR):
    try:
        (folder / ".not-installed").unlink(missing_ok=True)
        node_with_client(folder, INSTALL_TIMEOUT_S)
    except NodeMissing as missing:
        sys.exit(str(missing))
