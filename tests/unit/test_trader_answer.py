"""How what a model says is read: decisions out of what really comes, and nothing out of anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.trader.answer import (
    ANSWER_MAX_CHARS,
    DECISION_SCHEMA,
    REASONING_MAX_CHARS,
    AnswerUnusable,
    Said,
    read_answer,
)

PLAIN: dict[str, Any] = {
    "reasoning": "It rises.",
    "action": "LONG",
    "sizeFraction": 0.25,
    "stopLossPrice": 95.5,
    "takeProfitPrice": 110,
    "confidence": 0.8,
}
MEANT = Said("LONG", 0.25, 95.5, 110.0, 0.8, "It rises.")
TEXT = json.dumps(PLAIN)


def said(**fields: Any) -> str:
    return json.dumps(PLAIN | fields)


def reason_of(text: str) -> str:
    with pytest.raises(AnswerUnusable) as unusable:
        read_answer(text)
    message = unusable.value.message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 250
    return message


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff {TEXT}\n",
        json.dumps(PLAIN, indent=2),
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}```",
        f"Here is my decision: {TEXT} Good luck!",
        f"Of the set {{1, 2}} I take: {TEXT}",
        f'<think>\n{{"action": "SHORT"}} no, {{"a": 1}}</think>\n{TEXT}',
        f'I could say {{"action": "SHORT"}}, but</think>\n{TEXT}',
        f"[{TEXT}]",
        said(action=" long "),
        said(sizeFraction="0.25", stopLossPrice=" 95.5 ", takeProfitPrice="1.1e2", confidence="0.8"),
        said(reasoning=" It ris\x00es.\x1b\u202e "),
    ],
)
def test_what_models_really_send_is_read(text: str) -> None:
    assert read_answer(text) == MEANT


def test_what_a_model_writes_of_its_thoughts_in_an_answer_is_part_of_it() -> None:
    assert read_answer(said(reasoning="As I <think> said</think>, {1} it rises")).reasoning.endswith("{1} it rises")


def test_what_has_no_meaning_for_an_action_is_left_out() -> None:
    for action in ("CLOSE", "HOLD"):
        assert read_answer(said(action=action, sizeFraction=0, stopLossPrice=-1)) == Said(
            action, None, None, None, 0.8, "It rises."
        )
    assert read_answer('{"action": "HOLD", "confidence": 1}') == Said("HOLD", None, None, None, 1.0, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (f"<think>I could say {TEXT}, but then", "ends while the model still thinks"),
        (f"<think>I could say {TEXT}.</think>", "empty"),
        ("I would buy here.", "is no JSON: 'I would buy here.'"),
        ("\x1b[2J<script>alert(1)</script>", r"is no JSON: '\x1b[2J<script>alert(1)</script>'"),
        ("null", "is no JSON"),
        ('"LONG"', "is no JSON"),
        (json.dumps(TEXT), "is no JSON"),
        (TEXT[:-1], "is not valid JSON"),
        (TEXT + TEXT, "more than one JSON object"),
        ('{"thought": tru, "decision": ' + TEXT + "}", "is not valid JSON"),
        (json.dumps({"decision": PLAIN}), "there is no field 'decision'"),
        (said(leverage=100), "there is no field 'leverage'"),
        (said(**{"\x1b[31m": 1}), r"there is no field '\x1b[31m'"),
        ('{"action": "LONG", "action": "SHORT", "confidence": 1}', "'action' is said twice"),
        ("{}", "action is missing"),
        (said(action="BUY"), "action is 'BUY'"),
        (said(action=["LONG"]), 'action is ["LONG"]'),
        (said(action=None), "action is missing"),
        (said(confidence=None), "confidence is missing"),
        (said(confidence=80), "confidence is 80.0"),
        (said(confidence=-0.1), "confidence is -0.1"),
        (said(confidence=True), "confidence is true, which is no number"),
        (said(confidence="80%"), "confidence is '80%', which is no number"),
        (said(confidence="high"), "confidence is 'high', which is no number"),
        (said(sizeFraction=0), "sizeFraction is 0.0; it must be above 0"),
        (said(sizeFraction=-0.5), "sizeFraction is -0.5"),
        (said(sizeFraction=126), "sizeFraction is 126.0; it must be above 0 and at most 125"),
        (said(sizeFraction={"a": 1}), 'sizeFraction is {"a": 1.0}, which is no number'),
        (said(stopLossPrice="63,250"), "stopLossPrice is '63,250', which is no number"),
        (said(stopLossPrice="0x10"), "stopLossPrice is '0x10'"),
        (said(stopLossPrice="٣"), "which is no number"),
        (said(stopLossPrice=0), "stopLossPrice is 0.0"),
        (said(takeProfitPrice=1e308), "takeProfitPrice is 1e+308; it must be above 0 and at most 1e+15"),
        (said(takeProfitPrice="9e999"), "too large a number"),
        (TEXT.replace("95.5", "NaN"), "NaN is no number"),
        (TEXT.replace("95.5", "-Infinity"), "-Infinity is no number"),
        (TEXT.replace("95.5", "1e999"), "'1e999' is too large a number"),
        (TEXT.replace("95.5", "9" * 5_000), "is too large a number"),
        (said(reasoning=5), "reasoning is 5.0, which is no text"),
        (said(reasoning={"deep": [[]]}), "which is no text"),
        ('{"reasoning": ' + "[" * 50_000, "nested too deeply"),
        ('{"a":' * 19_000, "nested too deeply"),
        ("x" * 1_000_000, "has 1000000 characters, more than 100000"),
        ("{" * ANSWER_MAX_CHARS, "is no JSON"),
    ],
)
def test_what_is_no_decision_is_unusable_with_a_short_reason(text: str, reason: str) -> None:
    assert reason in reason_of(text)


def test_the_reasoning_is_bounded_and_whole() -> None:
    assert read_answer(said(reasoning="é" * 5_000)).reasoning == "é" * (REASONING_MAX_CHARS - 1) + "…"
    half = read_answer(
        TEXT.replace("It rises.", "half \\ud83d a face, and a whole one \\ud83d\\ude00\\u2028")
    ).reasoning
    assert half == "half ? a face, and a whole one 😀"


def test_the_schema_is_as_strict_as_strict_output_demands() -> None:
    assert DECISION_SCHEMA["additionalProperties"] is False
    assert set(DECISION_SCHEMA["required"]) == set(DECISION_SCHEMA["properties"]) == set(PLAIN)
    assert json.loads(json.dumps(DECISION_SCHEMA)) == DECISION_SCHEMA


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.text() | st.builds(json.dumps, st.dictionaries(st.sampled_from([*PLAIN, "other"]), json_values)))
def test_nothing_but_a_decision_or_a_reason_comes_of_any_text(text: str) -> None:
    try:
        read = read_answer(text)
    except AnswerUnusable:
        reason_of(text)
        return
    assert read.action in ("LONG", "SHORT", "CLOSE", "HOLD")
    assert 0.0 <= read.confidence <= 1.0
    assert all(value is None or 0.0 < value <= 1e15 for value in read[1:4])
    read.reasoning.encode()
