"""Imports that take less than they would: without what other packages load along, and without looking for garbage."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without(package: str) -> Generator[None]:
    """Has imports believe that this package is not installed, unless it is loaded already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # pyright: ignore[reportArgumentType] - Python's own way to say "not installed"
    try:
        yield
    finally:
        del sys.modules[package]


@contextmanager
def nothing_collected() -> Generator[None]:
    """Imports make a million objects that stay: to look among them for garbage, again and again, takes a fifth of the
    time of a short run. What is there afterwards is not looked at again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_talib() -> None:
    """TA-Lib imports pandas only to accept its series, strategies give arrays, and it costs each engine process a fifth
    of a second and tens of megabytes. A plug-in may still import it for itself.
    """
    with without("pandas"):
        importlib.import_module("talib")


def import_numba() -> None:
    """All of numba that is loaded before its first kernel is; before anything else imports it.

    Where scipy is installed it asks there for BLAS, which takes a fifth of a second and which our kernels do without.
    Those of a plug-in find it when they are compiled.
    """
    with without("scipy"):
        importlib.import_module("numba.core.registry").cpu_target.target_context.refresh()
