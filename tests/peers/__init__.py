"""Other programs and libraries, to compare with; see `requirements-peers.lock`."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest

from tests.conftest import REQUIRE_BACKENDS


def load(name: str) -> Any:
    """The module `name` of a peer, whatever it warns of while it is imported kept quiet: that is not ours to mend.

    Where it is not installed, the tests that ask for it are skipped, or fail under BACKFLEET_REQUIRE_BACKENDS=1.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name.partition(".")[0]:
            raise
    message = f"{name} is not installed: `make .venv/.peers` adds what we are compared with"
    if REQUIRE_BACKENDS:
        pytest.fail(f"{name} is required here and missing: {message}")
    pytest.skip(message, allow_module_level=True)
