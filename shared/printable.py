"""Text that moves no cursor and forges no line: what models and users write is shown in logs and terminals."""

from __future__ import annotations

import re

# Control characters, and those that change the direction of what is read around them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def printable(text: str) -> str:
    """Without control characters other than line breaks and tabs, and without half characters."""
    return _UNPRINTABLE.sub("", text).encode(errors="replace").decode()
