"""Strategies: parameter models and signal functions. Importing this package computes nothing and loads no TA-Lib."""

from shared.strategies.catalogue import Strategy, StrategyUse, catalogue, find, resolve
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION, combine

__all__ = [
    "BE_FLAT",
    "BE_LONG",
    "BE_SHORT",
    "NO_OPINION",
    "Strategy",
    "StrategyUse",
    "catalogue",
    "combine",
    "find",
    "resolve",
]
