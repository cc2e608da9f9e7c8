"""What operators say of language models: secrets, prices, and that a child process is told the same."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.errors import ConfigurationError
from shared.llm_keys import shown_of
from shared.llm_prices import Prices, Tokens, tokens_of
from shared.settings import PREFIX, Settings, environment_for_child, load_settings

FIRST, SECOND = (base64.urlsafe_b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100))


@pytest.mark.parametrize("text", [f"{FIRST},{SECOND}", f" {FIRST} , {SECOND},", json.dumps([FIRST, SECOND])])
def test_secrets_are_a_list_in_either_form(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}KEY_SECRETS", text)
    settings = load_settings()
    assert settings.sealing_secrets == (FIRST, SECOND)
    assert FIRST not in repr(settings)
    for name, value in environment_for_child(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings().sealing_secrets == (FIRST, SECOND)


@pytest.mark.parametrize("text", ["changeme-changeme", f"{FIRST},short", f'["{FIRST}"', f'[["{FIRST}"]]', FIRST[:-2]])
def test_a_secret_that_cannot_seal_is_refused_without_being_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}KEY_SECRETS", text)
    with pytest.raises(ConfigurationError, match=f"{PREFIX}KEY_SECRETS") as refused:
        load_settings()
    assert not any(part in refused.value.message for part in (FIRST, "changeme", "short", FIRST[:-2]))


def test_none_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", " ", "[]", ","):
        monkeypatch.setenv(f"{PREFIX}KEY_SECRETS", text)
        assert load_settings(mode="production").sealing_secrets == ()


def test_prices_reach_a_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = {"vendor/model": (0.5, 1.5)}
    child = environment_for_child(load_settings(llm_prices=prices, llm_private_urls=True))
    for name in ("LLM_PRICES", "LLM_PRIVATE_URLS"):
        monkeypatch.setenv(PREFIX + name, child[PREFIX + name])
    settings = load_settings()
    assert (settings.llm_prices, settings.llm_private_urls) == (prices, True)
    for wrong in ('{"m": [1]}', '{"m": [1, -1]}', '{"m": "free"}', "[]", '{"m": [1, NaN]}'):
        monkeypatch.setenv(f"{PREFIX}LLM_PRICES", wrong)
        with pytest.raises(ConfigurationError, match="LLM_PRICES"):
            load_settings()


def test_an_ask_costs_what_the_provider_says_else_its_tokens_else_what_was_reserved() -> None:
    prices = Prices(Settings.model_validate({"llm_prices": {"m": (1.0, 10.0)}, "llm_ask_usd_max": 0.02}))
    used = Tokens(1_000, 100)
    assert prices.cost_usd("openrouter", "m", used) == 0.002
    assert (prices.cost_usd("openrouter", "x", used), prices.cost_usd("local", "x", used)) == (None, 0)
    assert (prices.to_reserve("openrouter", "m", used), prices.to_reserve("openrouter", "x", used)) == (0.002, 0.02)

    def settled(model: str, told_usd: Any) -> float:
        return prices.to_settle("openrouter", model, used, told_usd=told_usd, reserved_usd=0.03)

    assert (settled("m", 0.5), settled("m", 0.0), settled("m", None), settled("x", None)) == (0.5, 0, 0.002, 0.03)
    for nonsense in (-1.0, float("nan"), float("inf")):
        assert settled("m", nonsense) == 0.002
    assert [tokens_of(chars) for chars in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_of_a_short_key_nothing_is_shown() -> None:
    assert [shown_of("x" * length + "WXYZ") for length in (0, 11, 12)] == ["", "", "…WXYZ"]
