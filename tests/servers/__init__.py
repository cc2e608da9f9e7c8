"""Servers only the tests start."""
