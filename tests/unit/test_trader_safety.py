"""What safety mode lets through, of anything a model may say in any state of the account."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.strategies.decision import Decision
from shared.strategies.question import Facts
from shared.trader.answer import AnswerUnusable, Said
from shared.trader.parameters import AiTraderParameters
from shared.trader.safety import Judged, judge

FACTS = Facts(
    bar=9,
    time_ms=0,
    close=100.0,
    cash=1_000.0,
    equity=1_000.0,
    day_start_equity=1_000.0,
    direction=0,
    exposure_fraction=0.0,
    leverage=2.0,
    allow_short=True,
)
LONG = Said("LONG", None, None, None, 0.9, "")
SHORT = Said("SHORT", None, None, None, 0.9, "")


def settings(**given: Any) -> AiTraderParameters:
    return AiTraderParameters.model_validate({"model": "m"} | given)


SAFE = settings()
FREE = settings(safety_mode=False)


def test_without_safety_mode_it_is_as_the_model_says() -> None:
    said = LONG._replace(size_fraction=0.5, stop_loss_price=50.0, take_profit_price=300.0, confidence=0.0)
    ruined = FACTS._replace(equity=1.0)
    assert judge(said, ruined, FREE) == Judged(Decision(1, 0.5, 50.0, 300.0), "LONG", ())
    assert judge(SHORT, ruined, FREE) == Judged(Decision(-1), "SHORT", ())
    assert judge(Said("CLOSE", None, None, None, 0.0, ""), FACTS, FREE) == Judged(Decision(0), "CLOSE", ())
    assert judge(Said("HOLD", None, None, None, 0.0, ""), FACTS, FREE) == Judged(Decision(None), "HOLD", ())


@pytest.mark.parametrize("params", [SAFE, FREE])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (LONG._replace(stop_loss_price=100.0), "stopLossPrice of a LONG is 100.0; it must be below the close, 100.0"),
        (LONG._replace(stop_loss_price=101.0), "must be below the close"),
        (LONG._replace(take_profit_price=99.0), "takeProfitPrice of a LONG is 99.0; it must be above the close"),
        (SHORT._replace(stop_loss_price=99.0), "stopLossPrice of a SHORT is 99.0; it must be above the close"),
        (SHORT._replace(take_profit_price=100.0), "must be below the close"),
        (LONG._replace(stop_loss_price=110.0, take_profit_price=90.0), "must be below the close"),  # as of a SHORT
    ],
)
def test_an_answer_that_contradicts_itself_is_unusable(said: Said, reason: str, params: AiTraderParameters) -> None:
    with pytest.raises(AnswerUnusable, match=reason):
        judge(said, FACTS, params)
    with pytest.raises(AnswerUnusable, match=reason):
        judge(said, FACTS._replace(allow_short=False), params)


def test_more_than_the_leverage_is_unusable_and_cut_in_safety_mode() -> None:
    with pytest.raises(AnswerUnusable, match="the leverage allows at most 2"):
        judge(LONG._replace(size_fraction=3.0), FACTS, FREE)
    judged = judge(LONG._replace(size_fraction=3.0), FACTS, SAFE)
    assert judged.decision.size_fraction == 2.0
    assert judged.safety[0] == "The largest position is 2 of equity, 0 is held: 3 of equity becomes 2."


def test_every_trade_has_a_stop_and_the_nearer_one_counts() -> None:
    assert judge(LONG, FACTS, SAFE) == Judged(
        Decision(1, None, 98.0), "LONG", ("No stop was given: it is set 2 % from the close, at 98.0.",)
    )
    assert judge(SHORT, FACTS, SAFE).decision == Decision(-1, None, 102.0)
    assert judge(LONG._replace(stop_loss_price=99.0), FACTS, SAFE) == Judged(Decision(1, None, 99.0), "LONG", ())
    far = judge(LONG._replace(stop_loss_price=90.0, take_profit_price=120.0), FACTS, settings(stop_loss_percent=5.0))
    assert far.decision == Decision(1, None, 95.0, 120.0)
    assert far.safety == ("The stop at 90.0 is farther away: it is set 5 % from the close, at 95.0.",)
    assert judge(SHORT._replace(stop_loss_price=101.0), FACTS, SAFE).decision.stop_price == 101.0


def test_a_position_is_as_large_as_it_may_be_with_what_is_held() -> None:
    quarter = settings(max_position_fraction=0.25)
    held = FACTS._replace(direction=1, exposure_fraction=0.2)
    assert judge(LONG, FACTS, quarter).decision.size_fraction == 0.25
    assert judge(LONG._replace(size_fraction=0.1), FACTS, quarter).decision.size_fraction == 0.1
    assert judge(LONG._replace(size_fraction=0.1), held, quarter).decision.size_fraction == pytest.approx(0.05)
    turned = judge(SHORT._replace(size_fraction=0.25, stop_loss_price=101.0), held, quarter)
    assert (turned.decision.size_fraction, turned.safety) == (0.25, ())
    full = judge(LONG, held._replace(exposure_fraction=0.25), quarter)
    assert (full.action, full.decision) == ("HOLD", Decision(None))
    assert full.safety == ("The largest position is 0.25 of equity, 0.25 is held: LONG is taken as HOLD.",)


def test_after_a_day_s_largest_loss_it_only_closes() -> None:
    lost = FACTS._replace(equity=950.0)
    told = "Equity is down by 5 % or more today, so that trades only close: "
    assert judge(LONG, lost, SAFE) == Judged(Decision(None), "HOLD", (told + "LONG is taken as HOLD.",))
    short = lost._replace(direction=-1, exposure_fraction=1.0)
    assert judge(LONG, short, SAFE) == Judged(Decision(0), "CLOSE", (told + "LONG is taken as CLOSE.",))
    assert judge(SHORT, short, SAFE).action == "HOLD"
    assert judge(Said("CLOSE", None, None, None, 0.9, ""), short, SAFE) == Judged(Decision(0), "CLOSE", ())
    assert judge(LONG, FACTS._replace(equity=950.1), SAFE).action == "LONG"


def test_who_is_not_sure_does_nothing() -> None:
    for said in (LONG, SHORT, Said("CLOSE", None, None, None, 0.9, "")):
        judged = judge(said._replace(confidence=0.49), FACTS, SAFE)
        told = f"Confidence 0.49 is below 0.5: {said.action} is taken as HOLD."
        assert judged == Judged(Decision(None), "HOLD", (told,))
    assert judge(LONG._replace(confidence=0.5), FACTS, SAFE).action == "LONG"


@pytest.mark.parametrize("params", [SAFE, FREE])
def test_a_short_that_is_not_allowed_closes_as_in_the_engine_and_says_so(params: AiTraderParameters) -> None:
    judged = judge(SHORT._replace(stop_loss_price=101.0), FACTS._replace(allow_short=False), params)
    told = "Shorts are not allowed in this backtest: SHORT only closes what is long."
    assert judged == Judged(Decision(0), "CLOSE", (told,))


FRACTIONS = st.floats(1e-6, 10.0)
PRICES = st.floats(1e-9, 1e9)
SAIDS = st.builds(
    Said,
    st.sampled_from(["LONG", "SHORT", "CLOSE", "HOLD"]),
    st.none() | FRACTIONS,
    st.none() | PRICES,
    st.none() | PRICES,
    st.floats(0.0, 1.0),
    st.just(""),
)
ACCOUNTS = st.builds(
    Facts,
    bar=st.just(1),
    time_ms=st.just(0),
    close=PRICES,
    cash=st.just(0.0),
    equity=st.floats(-100.0, 1e6),
    day_start_equity=st.floats(1.0, 1e6),
    direction=st.sampled_from([-1, 0, 1]),
    exposure_fraction=st.floats(0.0, 5.0),
    leverage=st.floats(1.0, 5.0),
    allow_short=st.booleans(),
)
LIMITS = st.builds(
    settings,
    stop_loss_percent=st.floats(0.01, 50.0),
    max_position_fraction=st.none() | st.floats(0.0001, 5.0),
    max_daily_loss_percent=st.floats(0.01, 100.0),
    min_confidence=st.floats(0.0, 1.0),
)


@given(SAIDS, ACCOUNTS, LIMITS)
def test_nothing_gets_past_safety_mode(said: Said, facts: Facts, params: AiTraderParameters) -> None:
    if facts.direction == 0:
        facts = facts._replace(exposure_fraction=0.0)
    try:
        judged = judge(said, facts, params)
    except AnswerUnusable:
        assume(False)
        raise
    assert judge(said, facts, params) == judged
    decision = judged.decision
    assert (judged.action != said.action) <= bool(judged.safety), "what is changed is said"
    if decision.signal not in (1, -1):
        assert decision == Decision(decision.signal)
        return
    sign = decision.signal
    assert decision.stop_price is not None
    away = sign * (facts.close - decision.stop_price) / facts.close
    assert 0.0 < away <= params.stop_loss_percent / 100.0 + 1e-12
    assert said.confidence >= params.min_confidence
    assert facts.equity > facts.day_start_equity * (1.0 - params.max_daily_loss_percent / 100.0)
    assert sign == 1 or facts.allow_short
    held = facts.exposure_fraction if facts.direction == sign else 0.0
    largest = min(facts.leverage, params.max_position_fraction or facts.leverage)
    if decision.size_fraction is None:
        assert params.max_position_fraction is None
    else:
        assert decision.size_fraction > 0.0
        assert held + decision.size_fraction <= largest * (1 + 1e-12)
        assert said.size_fraction is None or decision.size_fraction <= said.size_fraction
    if decision.target_price is not None:
        assert sign * decision.target_price > sign * facts.close
