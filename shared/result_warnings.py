"""What whoever reads a result should know of how it came about, although nothing was refused: its `warnings`.

Who takes a task in finds some, and the record keeps them; the run finds the others in its bars. A result has all. None
is part of its `resultHash`, which names what was computed: the same run on the same bars comes to the same, whatever
was asked for beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import Field

from shared.errors import FieldError, InvalidRequest
from shared.instants import INTERVAL_MS, iso_from_ms, read_instant_ms
from shared.wire import Wire

if TYPE_CHECKING:
    from shared.candles import Slice
    from shared.findings import Outcome
    from shared.strategies.strategy import Mute

# As a result, a record and a message hold them.
WarningDocument = dict[str, Any]
WARNINGS_MAX = 100
AMBIGUOUS_SHARE_MAX = 0.01
_KNOWLEDGE = ("knowledgeCutoff", "knowledge_cutoff")  # as a request may spell it
_NAMES_SHOWN, _NAME_MAX_CHARS = 5, 40


class ResultWarning(Wire):
    """One thing that went otherwise than whoever asked may think."""

    code: str = Field(description="Stable machine-readable name.")
    message: str = Field(description="What went otherwise, and where one can do something about it, what.")
    field: str | None = Field(default=None, description="Dotted path as the asker wrote it, where it is about one.")


def gathered(*parts: Iterable[WarningDocument]) -> list[WarningDocument]:
    """All of them, in order; of many the first, and that there were more."""
    found = [one for part in parts for one in part]
    if len(found) <= WARNINGS_MAX:
        return found
    kept = found[: WARNINGS_MAX - 1]
    more = ResultWarning(code="more_warnings", message=f"there are {len(found) - len(kept)} more warnings")
    return [*kept, more.as_wire()]


def of_unknown_fields(unknown: Sequence[FieldError]) -> list[WarningDocument]:
    """For fields of a task that another program published, which may be newer: they did nothing."""
    return [
        ResultWarning(code=one.code, message=f"was ignored: {one.message}", field=one.field).as_wire()
        for one in unknown
    ]


def of_run(params: Mapping[str, Any], bars: Slice, outcome: Outcome, within: str = "") -> list[WarningDocument]:
    """All that a run itself has to warn of, wherever it was run.

    `params` are those of a request as they were sent, `within` is where in what was sent they are.
    """
    return [
        *of_range(params, bars, within),
        *of_gaps(bars),
        *of_mute(outcome.mute, within),
        *of_size(params, within),
        *of_knowledge(params, bars, within),
        *of_figures(outcome.metrics, bars.total_bars),
    ]


def of_figures(metrics: Mapping[str, Any], total_bars: int) -> list[WarningDocument]:
    """For what happened inside the run and is easily overlooked among its figures."""
    found: list[ResultWarning] = []
    if unfilled := metrics.get("unfilledOrders"):
        orders = "1 order was" if unfilled == 1 else f"{unfilled:,} orders were"
        message = f"{orders} not filled, for want of money, of a whole lot or of a true range to measure a level with"
        found.append(ResultWarning(code="orders_unfilled", message=message))
    if (ambiguous := metrics.get("ambiguousBars", 0)) > AMBIGUOUS_SHARE_MAX * total_bars:
        message = (
            f"in {ambiguous:,} of {total_bars:,} bars one trade reached both its ends; which came first is what "
            "intrabar says, not what happened: finer bars would tell"
        )
        found.append(ResultWarning(code="bars_ambiguous", message=message))
    return [one.as_wire() for one in found]


def of_columns(ignored: Sequence[str]) -> list[WarningDocument]:
    """For columns of the files that a run read itself and found no use for."""
    if not ignored:
        return []
    count = "1 column" if len(ignored) == 1 else f"{len(ignored)} columns"
    more = f" and {len(ignored) - _NAMES_SHOWN} more" if len(ignored) > _NAMES_SHOWN else ""
    named = ", ".join(ascii(name[:_NAME_MAX_CHARS]) for name in ignored[:_NAMES_SHOWN])
    message = f"{count} of the data went unused: {named}{more}; --columns says what each column is"
    return [ResultWarning(code="columns_ignored", message=message).as_wire()]


def of_gaps(bars: Slice) -> list[WarningDocument]:
    """For bars that are missing in the middle of the range: the run goes on after a gap as if no time had passed."""
    lack = bars.lack
    if lack is None:
        return []
    interval = bars.resampled_from or bars.interval
    count = f"1 bar of {interval} is" if lack.bars == 1 else f"{lack.bars:,} bars of {interval} are"
    where = "a gap" if lack.gaps == 1 else f"{lack.gaps:,} gaps"
    span = f"from {iso_from_ms(lack.longest.start_ms)} to {iso_from_ms(lack.longest.end_ms)}"
    longest = span if lack.gaps == 1 else f"the longest, of {lack.longest.bars:,}, {span}"
    message = f"{count} missing in {where} of {bars.symbol}, {longest}; holidays are not counted"
    return [ResultWarning(code="bars_missing", message=message).as_wire()]


def of_mute(mute: Sequence[Mute], within: str = "") -> list[WarningDocument]:
    """For strategies whose periods are longer than the data: not one signal could come of them."""
    return [
        ResultWarning(
            code="too_few_bars",
            message=f"{one.strategy} says nothing before it has seen {one.needed_bars:,} bars, and there are "
            f"{one.given_bars:,}: it had no part in this run; give it shorter periods, or a longer range",
            field=f"{within}strategyParams.{one.strategy}",
        ).as_wire()
        for one in mute
    ]


def of_size(params: Mapping[str, Any], within: str = "") -> list[WarningDocument]:
    """For trades larger than equity, which leverage allows and a name that says percent invites.

    `params` are those of a request as they were sent, `within` is where in what was sent they are.
    """
    size: float = params.get("positionSizePercent", 1.0)
    if size <= 1:
        return []
    message = f"each trade is {size:g} times equity, {size:.0%} of it: a size of 1 is 100 %, and 0.02 is 2 %"
    return [ResultWarning(code="size_above_equity", message=message, field=f"{within}positionSizePercent").as_wire()]


def of_knowledge(params: Mapping[str, Any], bars: Slice, within: str = "") -> list[WarningDocument]:
    """For traders that are models and trade bars which they may have learned: what they gain there proves nothing.

    `params` are those of a request as they were sent, `within` is where in what was sent they are.
    """
    found: list[ResultWarning] = []
    first_ms = max(read_instant_ms("startDate", params["startDate"]), bars.series_start_ms)
    for strategy, given in params.get("strategyParams", {}).items():
        name = next((one for one in _KNOWLEDGE if given.get(one)), "")
        day_ms = None
        with suppress(InvalidRequest):  # Another strategy may mean something else by it.
            day_ms = read_instant_ms(name, given.get(name))
        if day_ms is None or first_ms >= day_ms:
            continue
        message = (
            f"the model may know the prices before {given[name]} by heart, and the run begins at "
            f"{iso_from_ms(first_ms)}: only what it does from then on says how it trades; begin there"
        )
        path = f"{within}strategyParams.{strategy}.{name}"
        found.append(ResultWarning(code="before_knowledge_cutoff", message=message, field=path))
    return [one.as_wire() for one in found]


def of_range(params: Mapping[str, Any], bars: Slice, within: str = "") -> list[WarningDocument]:
    """For a range that is longer than the data: the run was of what there is.

    `params` are those of a request as they were sent, `within` is where in what was sent they are.
    """
    found: list[ResultWarning] = []
    start_ms, end_ms = (read_instant_ms(name, params[name]) for name in ("startDate", "endDate"))
    data = f"the data of {bars.symbol}"
    # Less than a bar's length before the first one there is no bar to miss.
    if bars.series_start_ms - start_ms >= INTERVAL_MS[bars.interval]:
        message = f"{data} begin at {iso_from_ms(bars.series_start_ms)}, after startDate {iso_from_ms(start_ms)}"
        found.append(ResultWarning(code="data_begin_later", message=message, field=f"{within}startDate"))
    if bars.series_end_ms < end_ms:
        message = f"{data} end at {iso_from_ms(bars.series_end_ms)}, before endDate {iso_from_ms(end_ms)}"
        found.append(ResultWarning(code="data_end_earlier", message=message, field=f"{within}endDate"))
    return [one.as_wire() for one in found]
