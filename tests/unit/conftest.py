"""Market data files as texts: read, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.candles.files.parsing import ParsedSeries, read_files
from shared.errors import ImportRefused
from shared.reading import Reading

Read = Callable[..., ParsedSeries]
Refusal = Callable[..., str]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: str | bytes, name: str = "X.csv", **decided: Any) -> ParsedSeries:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        [series] = read_files([path], Reading(**decided))
        return series

    return read


@pytest.fixture
def refusal(read: Read) -> Refusal:
    def refusal(content: str | bytes, name: str = "X.csv", **decided: Any) -> str:
        with pytest.raises(ImportRefused) as caught:
            read(content, name, **decided)
        return caught.value.message

    return refusal
