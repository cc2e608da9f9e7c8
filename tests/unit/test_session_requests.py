"""What older clients ask for, as the requests that it becomes; and refusals in their words."""

from __future__ import annotations

from typing import Any

import pytest

from api.session_requests import (
    CREATE_EXAMPLE,
    RUN_EXAMPLE,
    RUN_WORDS,
    CreateSession,
    RunRequest,
    run_request,
    session_request,
)
from shared.errors import InvalidRequest
from shared.renaming import in_words
from shared.request import BacktestRequest
from shared.wire import validate

LEAST = {name: CREATE_EXAMPLE[name] for name in ("symbol", "startDate", "endDate", "initialCapital")}


def refused(model: Any, body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as found:
        validate(model, body)
    return {one.field: one.message for one in found.value.errors}


def test_a_session_is_a_backtest_that_is_born_paused() -> None:
    asked = {
        "stopLoss": {"percent": 2},
        "takeProfit": {"atr": 3},
        "maxOpenTrades": 4,
        "useStopOrders": False,
        "useTakeProfits": False,
        "positionSizePercent": 0.02,
        "strategies": ["rsi", "sma"],
        "strategyParams": {"sma": {"fast": 3}},
        "emitInterval": 7,
        "speed": 50,
        "interval": "4h",
    }
    made = session_request(validate(CreateSession, LEAST | asked), "OTHER")
    assert made == validate(BacktestRequest, LEAST | asked | {"symbol": "OTHER", "startPaused": True})


def test_what_a_session_leaves_out_is_as_usual() -> None:
    made = session_request(validate(CreateSession, LEAST), "AAPL")
    usual = {"interval": "1h", "strategies": ["sma_crossover"], "startPaused": True}
    assert made == validate(BacktestRequest, LEAST | usual)


def test_a_session_refuses_what_it_does_not_know_and_names_what_is_near() -> None:
    wrong = {"stopLos": {"percent": 2}, "emitInterval": 0, "priority": 3, "maxOpenTrades": "one"}
    found = refused(CreateSession, {name: LEAST[name] for name in ("symbol", "startDate", "endDate")} | wrong)
    assert set(found) == {"stopLos", "emitInterval", "priority", "maxOpenTrades", "initialCapital"}
    assert "did you mean stopLoss?" in found["stopLos"]
    with pytest.raises(InvalidRequest) as error:
        session_request(validate(CreateSession, LEAST | {"positionSizePercent": 2}), "AAPL")
    assert "0.02 is 2 %" in error.value.message


@pytest.mark.parametrize(
    ("timeframe", "interval"),
    [
        *(("M1", "1m"), ("M5", "5m"), ("M15", "15m"), ("M30", "30m"), ("H1", "1h"), ("H4", "4h")),
        *(("D1", "1d"), ("W1", "1w"), ("MN1", "1M"), ("1h", "1h"), ("1m", "1m"), ("1M", "1M"), ("3d", "3d")),
    ],
)
def test_a_timeframe_is_an_interval(timeframe: str, interval: str) -> None:
    made = run_request(validate(RunRequest, RUN_EXAMPLE | {"timeframe": timeframe}), "AAPL")
    assert made.interval == interval
    assert (made.commission.rate, made.initial_capital, made.strategies) == (0.001, 10_000, ["sma_crossover"])
    assert not made.start_paused


def test_a_run_refuses_what_it_does_not_know_in_its_own_words() -> None:
    wrong = {"variant": "turbo", "timeframe": "H7", "startDate": "2024-01-01", "commission": 2, "strategy": "sma"}
    found = refused(RunRequest, {name: one for name, one in RUN_EXAMPLE.items() if name != "start_date"} | wrong)
    assert set(found) == {"variant", "timeframe", "startDate", "commission", "strategy", "start_date"}
    assert found["variant"] == "must be 'vanilla' (got \"turbo\")"
    assert "did you mean start_date?" in found["startDate"]


def test_what_a_run_is_refused_for_later_has_its_names_too() -> None:
    asked = validate(RunRequest, RUN_EXAMPLE | {"start_date": "2020-01-01"})
    with pytest.raises(InvalidRequest) as error, in_words(RUN_WORDS):
        run_request(asked, "AAPL")
    [wrong] = error.value.errors
    assert wrong.field == "start_date"
    assert wrong.message == "start_date 2020-01-01 must be before end_date 2013-03-01"
    assert error.value.message == f"{wrong.field}: {wrong.message}"
    with pytest.raises(InvalidRequest) as error, in_words(RUN_WORDS):
        raise InvalidRequest.of("strategies.0", "there is no strategy astrology")
    assert [one.field for one in error.value.errors] == ["strategy_name"]


def test_a_bare_number_as_a_stop_is_told_what_to_write() -> None:
    found = refused(CreateSession, LEAST | {"stopLoss": 0.02, "takeProfit": 5})
    assert set(found) == {"stopLoss", "takeProfit"}
    assert '{"percent": 2} is 2 % of the price, {"distance": 0.02}' in found["stopLoss"]
    assert '{"percent": 5} is 5 % of the price, {"distance": 5}' in found["takeProfit"]
    assert "true" in refused(CreateSession, LEAST | {"stopLoss": True})["stopLoss"]
