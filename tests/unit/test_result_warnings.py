"""What a result warns of: bounded, and nothing of it lost silently."""

from __future__ import annotations

from shared.errors import FieldError
from shared.result_warnings import WARNINGS_MAX, ResultWarning, gathered, of_figures, of_unknown_fields
from shared.wire import validate


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
