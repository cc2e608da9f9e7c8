"""The worker: the supervisor does all I/O, engine processes do all computing."""
