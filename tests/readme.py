"""The code that the README shows, for tests that run it."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def shown(language: str) -> list[str]:
    """Every fenced block in a language, in order, as whoever pastes it has it."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
