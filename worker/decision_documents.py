"""What a model decided, as it is stored and as it is told."""

from __future__ import annotations

from collections.abc import Mapping

from shared.decisions import LlmDecision, OrderedDocument, SaidDocument
from shared.instants import iso_from_ms
from shared.strategies.decision import Decision
from shared.trader.answer import Said


def said_document(said: Said) -> SaidDocument:
    return SaidDocument(
        action=said.action,
        sizeFraction=said.size_fraction,
        stopLossPrice=said.stop_loss_price,
        takeProfitPrice=said.take_profit_price,
        confidence=said.confidence,
        reasoning=said.reasoning,
    )


def said_of(document: SaidDocument) -> Said:
    return Said(*(document[name] for name in _SAID))  # pyright: ignore[reportArgumentType]


_SAID = ("action", "sizeFraction", "stopLossPrice", "takeProfitPrice", "confidence", "reasoning")


def ordered(decision: Decision) -> OrderedDocument:
    return OrderedDocument(
        signal=decision.signal,
        sizeFraction=decision.size_fraction,
        stopPrice=decision.stop_price,
        targetPrice=decision.target_price,
    )


def decision_of(document: OrderedDocument) -> Decision:
    return Decision(document["signal"], document["sizeFraction"], document["stopPrice"], document["targetPrice"])


def told(document: LlmDecision) -> Mapping[str, object]:
    """`data` of the event `decision`, see `shared.live.DecisionTold`."""
    said, decision = document["said"], document["decision"]
    return {
        "bar": document["bar"],
        "time": iso_from_ms(document["timeMs"]),
        "strategy": document["strategy"],
        "action": document["action"],
        "reasoning": said["reasoning"] if said else document["reason"],
        "confidence": said["confidence"] if said else 0.0,
        "sizeFraction": decision["sizeFraction"],
        "stopLossPrice": decision["stopPrice"],
        "takeProfitPrice": decision["targetPrice"],
        "abstained": document["abstained"],
        "reason": document["reason"] or None,
        "safety": document["safety"],
        "model": document["model"],
        "stored": document["stored"],
        "costUsd": document["costUsd"],
        "tokensIn": document["tokensIn"],
        "tokensOut": document["tokensOut"],
        "latencyMs": document["latencyMs"],
    }
