"""The tests of backfleet."""
