"""Decisions of models as they are stored, made up for tests."""

from __future__ import annotations

from typing import Any, cast

from shared.decisions import LlmDecision, decision_id


def decision(backtest_id: str, bar: int, *, strategy_index: int = 0, user: str = "ann", **changes: Any) -> LlmDecision:
    made: dict[str, Any] = {
        "_id": decision_id(backtest_id, strategy_index, bar),
        "backtestId": backtest_id,
        "userId": user,
        "strategy": "ai_trader",
        "strategyIndex": strategy_index,
        "bar": bar,
        "timeMs": 1_704_067_200_000 + bar * 3_600_000,
        "key": f"key-{bar}",
        "system": "You trade.",
        "user": f"bar {bar}",
        "model": "vendor/model",
        "mode": "record",
        "raw": '{"action":"LONG"}',
        "said": None,
        "action": "LONG",
        "decision": {"signal": 1, "sizeFraction": 0.5, "stopPrice": None, "targetPrice": 1e308},
        "safety": ["a stop of 2 % was set"],
        "abstained": False,
        "reason": "",
        "tokensIn": 800,
        "tokensOut": 40,
        "costUsd": 0.001,
        "latencyMs": 321.5,
        "stored": False,
        "createdAt": 1_704_067_200_000 + bar,
    }
    return cast("LlmDecision", made | changes)
