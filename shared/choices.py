"""Words for what a person can decide, in text that people read at more than one edge.

Who writes such a text does not know where it is read. A choice stands in it by its name, perhaps with a value:
`⟦time_zone⟧`, `⟦price traded⟧`. On a command line that is an option, in a form a field. With a question mark it answers
what the text asks, and an edge may offer it: `⟦?price traded⟧`, or several that are shown by the name alone:
`⟦?interval 1h|4h⟧`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Choice(NamedTuple):
    """One answer to a question: what to send, and what it means."""

    value: str
    label: str


CHOOSE = "choose"  # the code of an error that is a question
_MARK = re.compile(r"⟦(\??)([a-z_]+)(?: ([^⟧]*))?⟧")
_FLAGS = frozenset({"allow_gaps"})  # said by being there
_LABELS = {
    ("date_order", "dmy"): "Day first: 31/12/2024",
    ("date_order", "mdy"): "Month first: 12/31/2024",
    ("side", "bid"): "Bid prices",
    ("side", "ask"): "Ask prices",
    ("side", "mid"): "Half-way between bid and ask",
    ("price", "traded"): "As they were traded",
    ("price", "adjusted"): "Adjusted for splits and dividends",
    ("decimal", "point"): "A point before decimals: 1,234 is 1234",
    ("decimal", "comma"): "A comma before decimals: 1,234 is 1.234",
    ("price_scale", "1"): "As they stand",
    ("price_scale", "10000"): "Divided by 10,000",
    ("time_unit", "s"): "Seconds",
    ("time_unit", "ms"): "Milliseconds",
    ("time_unit", "us"): "Microseconds",
    ("time_unit", "ns"): "Nanoseconds",
    ("time_unit", "excel"): "Excel's day numbers",
    ("allow_gaps", "true"): "Import it with its gaps",
    ("on_conflict", "keep"): "Keep what is stored",
    ("on_conflict", "replace"): "Replace what is stored",
}


def as_options(text: str) -> str:
    """The text for who types commands: `--time-zone`, `--price traded`."""
    return _MARK.sub(lambda found: " ".join(filter(None, (_option(found[2]), _shown(found)))), text)


def as_fields(text: str) -> str:
    """The text for who sends a form: `timeZone`, `price=traded`."""
    return _MARK.sub(lambda found: "=".join(filter(None, (_field(found[2]), _field_value(found)))), text)


def answers_in(text: str) -> dict[str, tuple[Choice, ...]]:
    """What may be decided to answer what the text asks, by name; without any where everything may."""
    found: dict[str, tuple[Choice, ...]] = {}
    for asks, name, given in _MARK.findall(text):
        values = ["true"] if name in _FLAGS else given.split("|") if given else []
        if asks:
            found[name] = (*found.get(name, ()), *offered(name, values))
    return found


def offered(name: str, values: Iterable[str]) -> tuple[Choice, ...]:
    """These answers to what may be decided under this name."""
    return tuple(Choice(value, _LABELS.get((name, value), value)) for value in values)


def unasked(text: str) -> str:
    """The same, which asks nothing."""
    return text.replace("⟦?", "⟦")


def marked(name: str) -> str:
    """The name alone, also of what is said by being there."""
    return f"⟦{name} ⟧"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _field(name: str) -> str:
    first, *others = name.split("_")
    return "".join((first, *(one.capitalize() for one in others)))


def _shown(found: re.Match[str]) -> str | None:
    """Of several values none: they would be read as one."""
    return None if found[3] is None or "|" in found[3] else found[3]


def _field_value(found: re.Match[str]) -> str | None:
    return "true" if found[2] in _FLAGS and found[3] != "" else _shown(found)
