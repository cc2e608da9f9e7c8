"""Refusals in the words of whoever asked: an edge whose fields or commands have other names says those."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from shared.errors import BackfleetError


@contextmanager
def in_words(names: Mapping[str, str]) -> Generator[None]:
    """What is refused inside names its fields by the values of `names`, wherever it named them by the keys."""
    words = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(map(re.escape, names), key=len, reverse=True))})\b")

    def renamed(text: str) -> str:
        return words.sub(lambda found: names[found[0]], text)

    try:
        yield
    except BackfleetError as error:
        error.reword(renamed)
        raise
