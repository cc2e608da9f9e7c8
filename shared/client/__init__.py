"""The Python client. Programs import it from `backfleet.client`; it loads nothing of the engine or the servers."""
