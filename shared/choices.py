"""Words for what a person can decide, in text that people read at more than one edge.

Who writes such a text does not know where it is read. A choice stands in it by its name, perhaps with a value:
`⟦time_zone⟧`, `⟦price traded⟧`. On a command line that is an option, in a form a field.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"⟦([a-z_]+)(?: ([^⟧]*))?⟧")
_FLAGS = frozenset({"allow_gaps"})  # said by being there


def as_options(text: str) -> str:
    """The text for who types commands: `--time-zone`, `--price traded`."""
    return _MARK.sub(lambda found: " ".join(filter(None, (_option(found[1]), found[2]))), text)


def as_fields(text: str) -> str:
    """The text for who sends a form: `timeZone`, `price=traded`."""
    return _MARK.sub(lambda found: "=".join(filter(None, (_field(found[1]), _field_value(*found.groups())))), text)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _field(name: str) -> str:
    first, *others = name.split("_")
    return "".join((first, *(one.capitalize() for one in others)))


def _field_value(name: str, value: str | None) -> str | None:
    return "true" if name in _FLAGS else value
