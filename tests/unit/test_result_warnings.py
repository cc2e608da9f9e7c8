"""What a result warns of: bounded, and nothing of it lost silently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.bars import Bars
from shared.candles.grid import DAY_MS, HOUR_MS
from shared.candles.manifest import Slice, first_manifest
from shared.errors import FieldError
from shared.result_warnings import (
    WARNINGS_MAX,
    ResultWarning,
    gathered,
    of_columns,
    of_figures,
    of_gaps,
    of_knowledge,
    of_mute,
    of_unknown_fields,
)
from shared.strategies.strategy import Mute
from shared.wire import validate

MONDAY_MS = 1_704_067_200_000  # 2024-01-01


def test_warnings_stand_in_the_order_of_their_finders() -> None:
    first, second = ({"code": code, "message": code} for code in ("first", "second"))
    assert gathered([first], [], [second]) == [first, second]


def test_of_too_many_warnings_the_last_one_says_how_many_more_there_are() -> None:
    many = [{"code": "one", "message": str(number)} for number in range(WARNINGS_MAX)]
    assert gathered(many) == many
    cut = gathered(many, many)
    assert (len(cut), cut[:-1]) == (WARNINGS_MAX, many[:-1])
    assert cut[-1] == {"code": "more_warnings", "message": f"there are {WARNINGS_MAX + 1} more warnings"}


def test_an_unknown_field_becomes_a_warning_that_says_what_was_done_with_it() -> None:
    [warning] = of_unknown_fields([FieldError("params.stopLos", "unknown field", "unknown_field")])
    assert warning == {"code": "unknown_field", "message": "was ignored: unknown field", "field": "params.stopLos"}
    assert validate(ResultWarning, warning).as_wire() == warning


def test_orders_without_a_fill_and_bars_that_hide_the_order_of_things_are_warned_of() -> None:
    assert of_figures({"unfilledOrders": 0, "ambiguousBars": 10}, 1_000) == []
    found = of_figures({"unfilledOrders": 1, "ambiguousBars": 11}, 1_000)
    assert [one["code"] for one in found] == ["orders_unfilled", "bars_ambiguous"]
    assert found[0]["message"].startswith("1 order was not filled")
    assert found[1]["message"].startswith("in 11 of 1,000 bars")
    assert of_figures({}, 10) == []  # of engines that count neither


def part_of(interval: str, times: list[int], start_ms: int, end_ms: int, made: str | None = None) -> Slice:
    """The part of a series that has bars at these times."""
    time_ms = np.array(times, np.int64)
    price = np.ones(len(times))
    bars = Bars(time_ms, price, price, price, price, price)
    return first_manifest("X", interval, "test", bars).slice(start_ms, end_ms, made)


def hours_but(*missing: range, weeks: int = 4) -> list[int]:
    lost = {number for those in missing for number in those}
    return [MONDAY_MS + number * HOUR_MS for number in range(168 * weeks) if number not in lost]


def test_gaps_in_the_range_are_one_warning_with_the_longest_of_them() -> None:
    times = hours_but(range(10, 11), range(100, 108), range(300, 302))
    end_ms = MONDAY_MS + 168 * 4 * HOUR_MS
    [warning] = of_gaps(part_of("1h", times, MONDAY_MS, end_ms))
    assert warning == {
        "code": "bars_missing",
        "message": "11 bars of 1h are missing in 3 gaps of X, the longest, of 8, from 2024-01-05T04:00:00Z to "
        "2024-01-05T12:00:00Z; holidays are not counted",
    }
    [one] = of_gaps(part_of("1h", times, MONDAY_MS, MONDAY_MS + 99 * HOUR_MS))
    assert one["message"].startswith("1 bar of 1h is missing in a gap of X, from 2024-01-01T10:00:00Z to ")
    [made] = of_gaps(part_of("1h", times, MONDAY_MS, end_ms, "1d"))
    assert made["message"] == warning["message"], "days are made of the hours that there are"
    assert of_gaps(part_of("1h", times, MONDAY_MS + 11 * HOUR_MS, MONDAY_MS + 100 * HOUR_MS)) == []
    assert of_gaps(part_of("1h", hours_but(), MONDAY_MS, end_ms)) == []


@pytest.mark.parametrize(
    ("start", "end", "bars", "from_hour", "to_hour"),
    [(104, 200, 4, 104, 108), (50, 103, 3, 100, 103), (0, 168, 8, 100, 108)],
)
def test_of_a_gap_across_an_end_of_the_range_its_part_within_counts(
    start: int, end: int, bars: int, from_hour: int, to_hour: int
) -> None:
    part = part_of("1h", hours_but(range(100, 108)), MONDAY_MS + start * HOUR_MS, MONDAY_MS + end * HOUR_MS)
    assert part.lack is not None
    assert (part.lack.bars, part.lack.gaps) == (bars, 1)
    assert part.lack.longest == (MONDAY_MS + from_hour * HOUR_MS, MONDAY_MS + to_hour * HOUR_MS, bars)


def test_weekends_and_holidays_of_days_are_no_gaps_and_lost_weeks_are() -> None:
    days = [number for number in range(7 * 52) if number % 7 < 5]
    kept = [number for number in days if number not in (88, 144, 326, 357)]  # four holidays
    times = [MONDAY_MS + number * DAY_MS for number in kept]
    assert of_gaps(part_of("1d", times, MONDAY_MS, MONDAY_MS + 364 * DAY_MS)) == []
    lost = [time for time in times if not 200 * DAY_MS <= time - MONDAY_MS < 221 * DAY_MS]
    [warning] = of_gaps(part_of("1d", lost, MONDAY_MS, MONDAY_MS + 364 * DAY_MS))
    assert warning["message"].startswith("15 bars of 1d are missing in a gap of X, from 2024-07-19T00:00:00Z to ")


def test_a_strategy_that_can_say_nothing_is_named_with_what_it_needs() -> None:
    [warning] = of_mute([Mute("sma", 201, 150)], "params.")
    assert (warning["code"], warning["field"]) == ("too_few_bars", "params.strategyParams.sma")
    assert warning["message"].startswith("sma says nothing before it has seen 201 bars, and there are 150: ")


def test_unused_columns_are_named_and_of_many_the_first() -> None:
    assert of_columns([]) == []
    [one] = of_columns(["RSI"])
    assert one == {
        "code": "columns_ignored",
        "message": "1 column of the data went unused: 'RSI'; --columns says what each column is",
    }
    [many] = of_columns([f"Säule {number}" * 20 for number in range(7)])
    assert many["message"].startswith("7 columns of the data went unused: 'S\\xe4ule 0S\\xe4ule 0")
    assert " and 2 more; " in many["message"]
    assert len(many["message"]) < 600


def test_a_model_that_may_know_the_prices_by_heart_is_warned_of() -> None:
    bars = part_of("1d", [MONDAY_MS], MONDAY_MS - DAY_MS, MONDAY_MS + DAY_MS)

    def found(day: Any, start: str = "2023-01-01", name: str = "knowledgeCutoff") -> list[dict[str, Any]]:
        return of_knowledge({"startDate": start, "strategyParams": {"ai_trader": {name: day}}}, bars, "params.")

    [warning] = found("2024-01-02")
    assert (warning["code"], warning["field"]) == (
        "before_knowledge_cutoff",
        "params.strategyParams.ai_trader.knowledgeCutoff",
    )
    assert "before 2024-01-02 by heart, and the run begins at 2024-01-01T00:00:00Z" in warning["message"]
    assert found("2024-06-01", "2024-05-01", "knowledge_cutoff")[0]["field"].endswith(".knowledge_cutoff")
    assert found("2024-01-01") == found("2024-06-01", "2024-06-01") == found("") == []
    assert found(7) == found(["x"]) == found("a while ago") == [], "which another strategy may mean by it"
    assert of_knowledge({"startDate": "2023-01-01"}, bars) == []
