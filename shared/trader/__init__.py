"""A trader that is a language model: what it is asked, how its answers are read, and what it may not do. Pure."""

# Before any module in here: the catalogue, which that package loads, lists the strategy that is made of them.
import shared.strategies as _  # pyright: ignore[reportUnusedImport]
