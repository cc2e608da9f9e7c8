"""Refusals in the words of whoever asked: an edge whose fields have other names says those."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from shared.errors import BackfleetError, FieldError


@contextmanager
def in_words(names: Mapping[str, str]) -> Generator[None]:
    """What is refused inside names its fields by the values of `names`, wherever it named them by the keys."""
    words = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, names), key=len, reverse=True))})\b")

    def renamed(text: str) -> str:
        return words.sub(lambda found: names[found[0]], text)

    try:
        yield
    except BackfleetError as error:
        error.errors = tuple(FieldError(renamed(one.field), renamed(one.message), one.code) for one in error.errors)
        error.message = renamed(error.message)
        raise
