"""Conditions as text: the strategy, its language, its words, and what they compute."""
