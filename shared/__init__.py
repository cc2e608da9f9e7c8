"""What the gateway and the workers both know: contracts, records, the store, the bus, market data, strategies."""
