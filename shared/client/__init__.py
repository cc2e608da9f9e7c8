"""The Python client. Programs import it from `backfleet`; nothing of the engine or the servers is loaded with it."""
