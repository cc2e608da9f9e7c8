"""Strategies: parameter models, and functions that give signals or decide.

Importing this package computes nothing and loads no TA-Lib.
"""

from shared.strategies.catalogue import catalogue, find, resolve
from shared.strategies.decision import Decision
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION, combine
from shared.strategies.strategy import Strategy, StrategyUse
from shared.strategies.view import View

__all__ = [
    "BE_FLAT",
    "BE_LONG",
    "BE_SHORT",
    "NO_OPINION",
    "Decision",
    "Strategy",
    "StrategyUse",
    "View",
    "catalogue",
    "combine",
    "find",
    "resolve",
]
