"""What a gateway tells, as a terminal may show it."""

from __future__ import annotations

from typing import Any, cast

from shared.printable import printable


def plain(told: Any) -> Any:
    """The same with every text on one line, and without what would move the cursor: models and users wrote some of
    it."""
    if isinstance(told, str):
        return " ".join(printable(told).split())
    if isinstance(told, dict):
        return {name: plain(one) for name, one in cast("dict[str, Any]", told).items()}
    if isinstance(told, list):
        return [plain(one) for one in cast("list[Any]", told)]
    return told
