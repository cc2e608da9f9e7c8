"""What the gateway and the workers both know: contracts, records, the store, the bus, market data, strategies."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    try:
        return version("backfleet")
    except PackageNotFoundError:
        return "0+source"
