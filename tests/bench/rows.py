"""One row per measurement: `results.json`, and `RESULTS.md` made from it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Literal

Better = Literal["lower", "higher"]

HERE = Path(__file__).parent
JSON_FILE = HERE / "results.json"
MARKDOWN_FILE = HERE / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is ours divided by the peer's. `aim` bounds it from above where lower is better, else from below.

    A row without a peer has no ratio, and its aim bounds ours. A row without an aim only tells where time goes.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    aim: float | None
    better: Better
    on: str
    machine: str
    measuredAt: str
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.aim is None:
            return None
        judged = self.ours if self.ratio is None else self.ratio
        return judged <= self.aim if self.better == "lower" else judged >= self.aim


def measured(
    name: str,
    *,
    ours: float,
    peer: float | None = None,
    unit: str,
    aim: float | None = None,
    better: Better,
    on: str,
) -> Row:
    """A row of now and here. `on` says on which servers or bars."""
    return Row(
        name=name,
        ours=round(ours, 4),
        peer=None if peer is None else round(peer, 4),
        unit=unit,
        ratio=None if peer is None else round(ours / peer, 3),
        aim=aim,
        better=better,
        on=on,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        measuredAt=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def p50_p99_ms(took_s: list[float]) -> tuple[float, float]:
    """Half of them took no longer, and 99 of 100."""
    cuts = quantiles(took_s, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def keep(rows: Sequence[Row]) -> list[Row]:
    """Puts the rows into `results.json`, each in the place of the earlier one of its name, and writes `RESULTS.md`.

    The note of a row, which says why it misses its aim, is written by hand into `results.json` and kept.
    """
    stored = [Row(**row) for row in json.loads(JSON_FILE.read_text())] if JSON_FILE.exists() else []
    known = {row.name: row for row in stored}
    for row in rows:
        note = known[row.name].note if row.name in known else ""
        known[row.name] = Row(**{**asdict(row), "note": note})
    result = sorted(known.values(), key=lambda row: row.name)
    JSON_FILE.write_text(json.dumps([asdict(row) for row in result], indent=2, ensure_ascii=False) + "\n")
    MARKDOWN_FILE.write_text(as_markdown(result))
    return result


def as_markdown(rows: Sequence[Row]) -> str:
    lines = [
        "# Measurements",
        "",
        "Made by `make bench` from `results.json`. The ratio is ours divided by the peer's, both measured in one run;",
        "the aim of a row without a peer is in its unit.",
        "",
        "| measurement | ours | peer | unit | ratio | aim | met | on | measured |",
        "|---|---:|---:|---|---:|---|---|---|---|",
    ]
    for row in rows:
        bound = "" if row.aim is None else f"{'≤' if row.better == 'lower' else '≥'} {row.aim:g}"
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        peer = "" if row.peer is None else f"{row.peer:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:g}"
        lines.append(
            f"| `{row.name}` | {row.ours:,.2f} | {peer} | {row.unit} | {ratio} | {bound} | {met} "
            f"| {row.on} | {row.measuredAt[:10]} |"
        )
    notes = [f"- `{row.name}`: {row.note}" for row in rows if row.note]
    if notes:
        lines += ["", "Notes", "", *notes]
    machines = sorted({row.machine for row in rows})
    return "\n".join([*lines, "", f"Machine: {'; '.join(machines)}.", ""])
