"""The wire contract: its own examples are read, what is wrong is named, and what is extra is ignored between programs
and refused in what a person asks for.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.account_requests import (
    AddUserRequest,
    ChangePasswordRequest,
    KeyRequest,
    LoginRequest,
    RefreshRequest,
    RolesRequest,
    SetPasswordRequest,
)
from shared.contracts import (
    CandlesRequest,
    Complete,
    Event,
    Failure,
    Progress,
    SubscribeRequest,
    Task,
    UnsubscribeRequest,
    ValidateRequest,
)
from shared.errors import ERRORS_MAX, InvalidRequest, MalformedMessage
from shared.instants import iso_from_ms, to_ms
from shared.request import BacktestParams, BacktestRequest
from shared.wire import Wire, decode, decode_noting, parse_json, validate

TASK: dict[str, Any] = {
    "backtestId": "bt_abc123",
    "userId": "user123",
    "params": {
        "symbol": "BTCUSDT",
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2024-12-01",
        "strategies": ["sma", "rsi"],
        "strategyParams": {"sma": {"fast": 10, "slow": 30}},
    },
}
PROGRESS = {
    "backtestId": "bt_abc123",
    "userId": "user123",
    "progress": 50,
    "message": "Processing 2024-06-01",
    "currentDate": "2024-06-01",
}
COMPLETE = {
    "backtestId": "bt_abc123",
    "userId": "user123",
    "status": "success",
    "resultId": "res_xyz789",
    "summary": {"totalReturn": 25.5, "sharpeRatio": 1.8, "maxDrawdown": -15.2},
}
FAILURE = {
    "backtestId": "bt_abc123",
    "userId": "user123",
    "status": "error",
    "error": "Insufficient market data",
    "timestamp": "2024-12-09T15:30:00Z",
}


@pytest.mark.parametrize(
    ("model", "message"), [(Task, TASK), (Progress, PROGRESS), (Complete, COMPLETE), (Failure, FAILURE)]
)
def test_the_contracts_own_examples_come_through_unchanged(model: Any, message: dict[str, Any]) -> None:
    wire = json.loads(decode(model, json.dumps(message | {"unknownField": [1]})).as_json())
    for name, value in message.items():
        if name != "params":
            assert wire[name] == value
    assert "unknownField" not in wire
    if model is Task:
        assert message["params"].items() <= wire["params"].items()


ASKED = [
    *(BacktestRequest, ValidateRequest, CandlesRequest, SubscribeRequest, UnsubscribeRequest),
    *(LoginRequest, RefreshRequest, AddUserRequest, SetPasswordRequest, ChangePasswordRequest, RolesRequest),
    KeyRequest,
]


@pytest.mark.parametrize("model", ASKED)
def test_a_misspelled_field_of_what_a_person_asks_is_refused_with_the_nearest_name(model: type[Wire]) -> None:
    name = max((field.alias or "" for field in model.model_fields.values()), key=len)
    misspelled = name[:1] + name[2:]
    with pytest.raises(InvalidRequest) as refused:
        validate(model, {misspelled: "secret"})
    assert refused.value.errors[0].as_wire() == {
        "field": misspelled,
        "message": f"unknown field; did you mean {name}?",
        "code": "unknown_field",
    }


@pytest.mark.parametrize(
    ("extra", "field", "message"),
    [
        ({"stopLos": {"percent": 2}}, "stopLos", "unknown field; did you mean stopLoss?"),
        ({"STOP_LOSS": {"percent": 2}}, "STOP_LOSS", "unknown field; did you mean stopLoss?"),
        ({"commission": {"rat": 0.1}}, "commission.rat", "unknown field; did you mean rate?"),
        ({"stopLoss": {"percent": 2, "art": 1}}, "stopLoss.art", "unknown field; did you mean atr?"),
        ({"xyz": 1}, "xyz", "unknown field; leave it out"),
        ({"start_date": "2020-01-01"}, "start_date", "is startDate, which is there too; leave one of them out"),
        ({"\ud800": 1}, "\\ud800", "unknown field; leave it out"),
    ],
)
def test_a_field_without_effect_is_refused_by_its_path(extra: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(BacktestRequest, TASK["params"] | extra)
    assert [(one.field, one.message) for one in refused.value.errors] == [(field, message)]


def test_fields_are_known_by_their_names_in_python_too_and_those_of_strategies_are_theirs() -> None:
    params = {key: value for key, value in TASK["params"].items() if key != "startDate"}
    own = {"strategyParams": {"sma": {"anything": 1}}, "start_date": "2024-01-01"}
    assert validate(BacktestRequest, params | own).start_ms == 1_704_067_200_000


@pytest.mark.parametrize("model", [BacktestRequest, BacktestParams])
def test_a_share_of_equity_has_two_names_that_mean_the_same(model: type[BacktestParams]) -> None:
    named, older = (validate(model, TASK["params"] | {name: 0.25}) for name in ("positionSize", "positionSizePercent"))
    assert named == older
    assert named.as_wire()["positionSizePercent"] == 0.25
    assert "positionSize" not in named.as_wire()
    with pytest.raises(InvalidRequest) as refused:
        validate(model, TASK["params"] | {"positionSize": "all"})
    assert [one.field for one in refused.value.errors] == ["positionSize"]
    described = model.model_json_schema()["properties"]
    assert model.model_json_schema()["not"] == {"required": ["positionSize", "positionSizePercent"]}
    for name in ("positionSize", "positionSizePercent"):
        assert "1 is all of it (100 %)" in described[name]["description"]


def test_both_names_of_the_share_of_equity_are_refused_together() -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(BacktestRequest, TASK["params"] | {"positionSize": 0.5, "positionSizePercent": 0.25})
    assert [one.message for one in refused.value.errors] == [
        "is positionSizePercent, which is there too; leave one of them out"
    ]


@pytest.mark.parametrize("symbol", ["^GSPC", "EURUSD=X", "M&M.NS", "BRK-B", "ES1!", "BTC/USDT:USDT"])
def test_symbols_are_of_the_letters_that_programs_use(symbol: str) -> None:
    assert validate(BacktestRequest, TASK["params"] | {"symbol": symbol}).symbol == symbol


@pytest.mark.parametrize("symbol", ["", "_X", "=X", "A B", "A?B", "A#B", "A%42", "$where", "A$B", "A" * 41])
def test_symbols_have_none_of_the_letters_that_urls_and_stores_give_a_meaning_to(symbol: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(BacktestRequest, TASK["params"] | {"symbol": symbol})
    assert [one.field for one in refused.value.errors] == ["symbol"]


def test_a_hundred_thousand_unknown_fields_are_refused_at_once() -> None:
    many = {f"field{number}": 1 for number in range(100_000)}
    began_s = time.process_time()
    with pytest.raises(InvalidRequest) as refused:
        validate(BacktestRequest, TASK["params"] | many)
    assert len(refused.value.errors) == ERRORS_MAX
    assert time.process_time() - began_s < 0.5  # pydantic alone takes seconds to make an error of each


def test_what_another_program_publishes_may_have_unknown_fields_which_are_named() -> None:
    params = TASK["params"] | {"stopLos": {"percent": 2}, "commission": {"rat": 1}}
    task, unknown = decode_noting(Task, json.dumps(TASK | {"params": params, "note": "x"}))
    assert task == validate(Task, TASK | {"params": TASK["params"] | {"commission": {}}})
    assert [(one.field, one.code) for one in unknown] == [
        ("params.stopLos", "unknown_field"),
        ("params.commission.rat", "unknown_field"),
        ("note", "unknown_field"),
    ]
    _, many = decode_noting(Task, json.dumps(TASK | {f"x{number}": 1 for number in range(1_000)}))
    assert (len(many), many[-1].message) == (21, "more than 20 fields are unknown")
    assert decode_noting(Task, json.dumps(TASK))[1] == []


@pytest.mark.parametrize("name", ["symbol", "interval", "startDate", "endDate", "strategies"])
def test_a_missing_field_is_named(name: str) -> None:
    params = {key: value for key, value in TASK["params"].items() if key != name}
    with pytest.raises(InvalidRequest) as refused:
        validate(Task, TASK | {"params": params})
    assert f"params.{name}" in [error.field for error in refused.value.errors]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"startDate": "2024-12-01", "endDate": "2024-01-01"}, "startDate", "must be before endDate"),
        ({"startDate": 1704067200000}, "startDate", "must be text"),
        ({"startDate": "2024-01-01T00:00:00"}, "startDate", "no time zone"),
        ({"startDate": "01/02/2024"}, "startDate", "is not a date"),
        ({"interval": "7h"}, "interval", '(got "7h")'),
        ({"strategies": []}, "strategies", "at least 1"),
        ({"strategies": ["sma", "sma"]}, "strategies", "must not repeat"),
        ({"strategyParams": {"rsi": {}}}, "strategyParams", "names rsi"),
        ({"symbol": "BTC USDT"}, "symbol", "pattern"),
        ({"initialCapital": "1000"}, "initialCapital", "must be a number"),
        ({"initialCapital": -1}, "initialCapital", "greater than 0 (got -1)"),
        ({"positionSizePercent": 1.5}, "positionSizePercent", "at most leverage, 1"),
        ({"positionSizePercent": 126}, "positionSizePercent", "less than or equal to 125"),
        (
            {"positionSizePercent": 0.5, "sizing": {"mode": "fixed_quantity", "value": 1}},
            "sizing",
            "takes the place of",
        ),
        ({"sizing": {"mode": "risk_fraction", "value": 0.01}}, "sizing", "add stopLoss or trailingStop"),
        ({"sizing": {"mode": "risk_fraction", "value": 2}}, "sizing.value", "at most 1"),
        ({"sizing": {"mode": "equity_fraction", "value": 0.5}}, "sizing.mode", "positionSizePercent"),
        ({"sizing": {"mode": "fixed_quantity", "value": 0}}, "sizing.value", "greater than 0"),
        ({"combine": "weighted"}, "weights", "must name every strategy"),
        ({"combine": "weighted", "weights": {"sma": 1, "rsi": 1}}, "weights", "and no other: sma (got sma, rsi)"),
        ({"combine": "weighted", "weights": {"sma": 0}}, "weights.sma", "greater than 0"),
        ({"weights": {"sma": 1}}, "weights", 'combine is "any"'),
        ({"leverage": 0.5}, "leverage", "greater than or equal to 1"),
        ({"leverage": 10, "maintenanceMargin": 0.1}, "maintenanceMargin", "below 1 / leverage, 0.1"),
        ({"stopLoss": {}}, "stopLoss", "exactly one of percent, distance, atr"),
        ({"takeProfit": {"percent": 2, "atr": 1}}, "takeProfit", "exactly one of"),
        ({"trailingStop": {"distance": -1}}, "trailingStop.distance", "greater than 0"),
        ({"atrPeriod": 1}, "atrPeriod", "greater than or equal to 2"),
        ({"warmupBars": -1}, "warmupBars", "greater than or equal to 0 (got -1)"),
        ({"warmupBars": 100_001}, "warmupBars", "less than or equal to 100000 (got 100001)"),
        ({"warmupBars": 1.5}, "warmupBars", "whole number"),
        ({"warmupBars": "all"}, "warmupBars", "whole number"),
        ({"warmupBars": False}, "warmupBars", "whole number"),
        ({"commission": {"minimum": -1}}, "commission.minimum", "greater than or equal to 0"),
        ({"spreadBps": 1001}, "spreadBps", "less than or equal"),
        ({"fillAt": "high"}, "fillAt", "'open' or 'close'"),
        ({"intrabar": "luck"}, "intrabar", "'stop_first'"),
        ({"lotSize": -1}, "lotSize", "greater than or equal to 0"),
        ({"tickSize": "0.1"}, "tickSize", "must be a number"),
        ({"maxOpenTrades": 2.5}, "maxOpenTrades", "whole number"),
        ({"allowShort": 1}, "allowShort", "true or false"),
        ({"stopLoss": {"percent": 0}}, "stopLoss.percent", "greater than 0"),
        ({"commission": {"rate": 5}}, "commission.rate", "less than or equal"),
        ({"strategyParams": {"sma": {"fast": float("inf")}}}, "strategyParams.sma.fast", "finite"),
        ({"strategyParams": {"sma": {"fast": 10**30}}}, "strategyParams.sma", "more than 64 bits"),
        ({"strategyParams": {"sma": {"name": "\ud800"}}}, "strategyParams.sma", "surrogate"),
        ({"strategyParams": {"sma": {"$where": 1}}}, "strategyParams.sma", "name that is not allowed"),
        ({"strategyParams": {"sma": {"a": [[[[[[[[[[1]]]]]]]]]]}}}, "strategyParams.sma", "nested deeper"),
        ({"priority": 10}, "priority", "less than or equal to 9"),
        ({"profile": "zipline"}, "profile", "'backfleet', 'backtesting.py', 'vectorbt' or 'backtrader'"),
        ({"profile": "vectorbt", "maxOpenTrades": 2}, "maxOpenTrades", "must be 1 with profile vectorbt, which holds"),
        ({"profile": "vectorbt", "spreadBps": 2.0}, "spreadBps", "use slippageBps (got 2)"),
        ({"profile": "vectorbt", "stopLoss": {"atr": 2}}, "stopLoss", "must be given by percent with"),
        ({"profile": "vectorbt", "allowShort": True, "positionSizePercent": 0.5}, "positionSizePercent", "must be 1"),
        ({"profile": "vectorbt", "allowShort": True, "commission": {"fixed": 1}}, "commission.fixed", "one order"),
        (
            {"profile": "vectorbt", "stopLoss": {"percent": 2}, "trailingStop": {"percent": 2}},
            "trailingStop",
            "one of the two",
        ),
        ({"profile": "backtesting.py", "slippageBps": 2}, "slippageBps", "use spreadBps"),
        ({"profile": "backtesting.py", "trailingStop": {"percent": 2}}, "trailingStop", "must be left out with"),
        ({"profile": "backtesting.py", "sizing": {"mode": "fixed_quantity", "value": 1.5}}, "sizing.value", "whole"),
        (
            {"profile": "backtesting.py", "spreadBps": 50, "takeProfit": {"percent": 0.5}},
            "takeProfit.percent",
            "above the spread, 0.5 %",
        ),
        (
            {"profile": "backtrader", "commission": {"fixed": 1}},
            "commission.fixed",
            "must be 0 with profile backtrader",
        ),
        ({"profile": "backtrader", "fillAt": "close"}, "fillAt", "must be open with profile backtrader"),
        ({"profile": "backtrader", "sizing": {"mode": "fixed_notional", "value": 5}}, "sizing.mode", "fixed_quantity"),
        ({"profile": "backtrader", "intrabar": "target_first"}, "intrabar", "takes the stop first"),
        ({"closeAtEnd": "yes"}, "closeAtEnd", "true or false"),
        (
            {"sizing": {"mode": "risk_fraction", "value": 0.1}, "stopLoss": {"percent": 2}, "useStopOrders": False},
            "useStopOrders",
            "must be true",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_remedy(change: dict[str, Any], field: str, words: str) -> None:
    body = {**TASK["params"], "strategies": ["sma"], **change}
    with pytest.raises(InvalidRequest) as refused:
        validate(BacktestRequest, body)
    [error] = [error for error in refused.value.errors if error.field == field]
    assert words in error.message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"x"', "{'a':1}", '{"a":NaN}', "\xff", "[" * 100_000])
def test_text_that_is_not_a_json_object_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(Task, text)


def test_dates_stay_dates_and_instants_become_utc() -> None:
    body = TASK["params"] | {"strategies": ["sma"], "startDate": "2024-01-01T02:00:00+02:00"}
    wire = validate(BacktestRequest, body | {"endDate": "2024-06-01T12:30:00Z"}).as_wire()
    assert (wire["startDate"], wire["endDate"]) == ("2024-01-01", "2024-06-01T12:30:00Z")


def test_an_order_fills_when_its_profile_fills_unless_it_is_told_otherwise() -> None:
    plain = {"symbol": "X", "interval": "1h", "startDate": "2024-01-01", "endDate": "2024-02-01", "strategies": ["sma"]}
    for profile, usual in (("backfleet", "open"), ("backtesting.py", "open"), ("vectorbt", "close")):
        params = validate(BacktestParams, {**plain, "profile": profile})
        assert params.fill_at == params.as_wire()["fillAt"] == usual
        for said in ("open", "close"):
            told = validate(BacktestParams, {**plain, "profile": profile, "fillAt": said})
            assert validate(BacktestParams, told.as_wire()).fill_at == said
    with pytest.raises(InvalidRequest):
        validate(BacktestParams, {**plain, "profile": ["vectorbt"]})


def test_a_requests_params_are_what_a_task_carries() -> None:
    request = validate(BacktestRequest, TASK["params"] | {"priority": 3})
    params = request.params()
    assert "priority" not in params.as_wire()
    task = Task(backtest_id="bt_1", user_id="ann", params=params, recorded=True)
    assert decode(Task, task.as_json()).params == params


@given(st.integers(min_value=-(10**12), max_value=4 * 10**12))
def test_milliseconds_survive_the_way_to_text_and_back(ms: int) -> None:
    from datetime import datetime

    assert to_ms(datetime.fromisoformat(iso_from_ms(ms))) == ms


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*TASK, *TASK["params"], "after"]), json_values) | json_values)
def test_no_value_whatever_gets_past_as_anything_but_a_refusal(value: Any) -> None:
    for model in (Task, BacktestRequest, SubscribeRequest, Progress):
        try:
            read = validate(model, value)
        except InvalidRequest as refused:
            assert refused.errors  # noqa: PT017 - the refusal is one of two right answers
        else:
            assert all(not isinstance(one, float) or math.isfinite(one) for one in read.as_wire().values())


@pytest.mark.parametrize("number", ["1e400", "-1E+309", f"{'9' * 400}.5"])
def test_a_number_that_is_infinite_once_it_is_read_is_refused_wherever_it_stands(number: str) -> None:
    text = f'{{"backtestId": "bt_1", "userId": "ann", "type": "state", "data": {{"pnl": [{number}]}}}}'
    for spelled in (text, text.encode()):
        with pytest.raises(MalformedMessage, match="too large"):
            decode(Event, spelled, finite=True)
    assert parse_json('["12e345", 1e300, 1e-400]', finite=True) == ["12e345", 1e300, 0.0]


def test_a_position_that_not_every_program_can_hold_is_refused() -> None:
    for epoch in (2**53, 10**300):
        with pytest.raises(InvalidRequest, match="epoch"):
            decode(Event, json.dumps({"backtestId": "bt_1", "userId": "ann", "type": "state", "epoch": epoch}))
