"""The contract as documents: what crosses a wire, generated from the models into `docs/contract`."""
