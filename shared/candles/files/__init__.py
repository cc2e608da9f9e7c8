"""Files of bars, of whatever kind, to checked bars. `parsing` is the way in."""
