"""Measurements beside peers, in one run on one machine: `make bench`. Ratios count, absolute figures do not travel."""
