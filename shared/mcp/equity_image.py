"""An equity curve as a picture, with the drawdown below it: what a model that sees can look at."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

WIDTH, HEIGHT = 900, 560
_LEFT, _RIGHT, _TOP = 86, 20, 44
_MIDDLE, _LOWER, _BOTTOM = 370, 400, 520
_INK, _GREY, _GRID, _BLUE, _RED, _PINK = "#202124", "#5f6368", "#e0e0e0", "#1a56db", "#b42318", "#f7c9c4"


class _Panel(NamedTuple):
    """A part of the picture, and what its edges stand for."""

    top: int
    bottom: int
    low: float
    high: float
    points: int

    def at(self, index: int, value: float) -> tuple[float, float]:
        across = index / max(self.points - 1, 1)
        up = (value - self.low) / (self.high - self.low)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), self.bottom - up * (self.bottom - self.top)


def draw_equity(points: Sequence[dict[str, Any]], title: str) -> bytes:
    """A PNG of points with `time` and `equity`, at equal distances. Those without a number are left out."""
    from PIL import Image, ImageDraw, ImageFont

    known = [one for one in points if isinstance(one["equity"], int | float)]
    values = [float(one["equity"]) for one in known]
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    pen.text((_LEFT, 14), title, fill=_INK, font=font)
    if values:
        falls = _drawdowns(values)
        _draw_axes(pen, font, upper := _panel(_TOP, _MIDDLE, values), "{:,.0f}", [one["time"] for one in known])
        _draw_axes(pen, font, lower := _panel(_LOWER, _BOTTOM, [*falls, 0.0], len(falls)), "{:.1f} %", [])
        pen.text((_LEFT + 6, _TOP + 4), "equity", fill=_BLUE, font=font)
        outline = [lower.at(index, fall) for index, fall in enumerate(falls)]
        pen.polygon([lower.at(0, 0.0), *outline, lower.at(len(falls) - 1, 0.0)], fill=_PINK)
        _draw_line(pen, outline, _RED)
        _draw_line(pen, [upper.at(index, value) for index, value in enumerate(values)], _BLUE)
        worst = min(range(len(falls)), key=falls.__getitem__)
        pen.text((_LEFT + 6, _MIDDLE + 8), f"drawdown, at most {falls[worst]:.1f} %", fill=_RED, font=font)
    else:
        pen.text((_LEFT, _TOP + 20), "no points", fill=_GREY, font=font)
    written = io.BytesIO()
    picture.save(written, "PNG", optimize=True)
    return written.getvalue()


def _drawdowns(values: Sequence[float]) -> list[float]:
    """How far each is below the highest so far, percent, zero or below."""
    peak, falls = -math.inf, list[float]()
    for value in values:
        peak = max(peak, value)
        falls.append((value / peak - 1) * 100 if peak > 0 else 0.0)
    return falls


def _panel(top: int, bottom: int, values: Sequence[float], count: int | None = None) -> _Panel:
    low, high = min(values), max(values)
    if high <= low:
        pad = max(abs(low) * 0.01, 1.0)
        low, high = low - pad, high + pad
    return _Panel(top, bottom, low, high, len(values) if count is None else count)


def _draw_axes(pen: Any, font: Any, panel: _Panel, form: str, times: Sequence[str]) -> None:
    for step in range(5):
        value = panel.low + (panel.high - panel.low) * step / 4
        _, y = panel.at(0, value)
        pen.line([(_LEFT, y), (WIDTH - _RIGHT, y)], fill=_GRID)
        text = form.format(value)
        pen.text((_LEFT - 8 - pen.textlength(text, font=font), y - 8), text, fill=_GREY, font=font)
    pen.rectangle([_LEFT, panel.top, WIDTH - _RIGHT, panel.bottom], outline=_GREY)
    for place in sorted({round(step * (len(times) - 1) / 4) for step in range(5)}) if times else ():
        x, _ = panel.at(place, panel.low)
        text = f"{datetime.fromisoformat(times[place]):%Y-%m-%d}"
        pen.line([(x, _LOWER), (x, _BOTTOM + 4)], fill=_GRID)
        half = pen.textlength(text, font=font) / 2
        pen.text((min(max(x - half, 2), WIDTH - 2 * half - 2), _BOTTOM + 8), text, fill=_GREY, font=font)


def _draw_line(pen: Any, points: list[tuple[float, float]], colour: str) -> None:
    if len(points) == 1:
        pen.point(points, fill=colour)
    else:
        pen.line(points, fill=colour, width=2, joint="curve")
