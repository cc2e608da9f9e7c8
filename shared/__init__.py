"""What the gateway and the workers both know: contracts, records, the store, the bus, market data, strategies."""

from functools import cache


@cache
def package_version() -> str:
    """Read once: it stands in a file that takes a millisecond to find and parse, by what takes twenty to import."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("backfleet")
    except PackageNotFoundError:
        return "0+source"
