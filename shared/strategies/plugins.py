"""Strategies that other installed packages bring: each entry point of `backfleet.strategies` names a `Strategy`.

Whoever installs a package beside a gateway or worker trusts its code: it runs with the rights of that process. Gateways
and workers need the same packages, else a gateway accepts what a worker then refuses by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import TypeVar

from shared.errors import ConfigurationError

GROUP = "backfleet.strategies"

Kind = TypeVar("Kind")


def load_plugins(kind: type[Kind], names_of: Callable[[Kind], tuple[str, ...]], taken: set[str]) -> Iterator[Kind]:
    """Every installed entry point, by name. Raises `ConfigurationError` for one that cannot be used, naming it.

    `names_of` gives the names a strategy answers to, none of which may be in `taken` or belong to another plug-in.
    """
    owners = dict.fromkeys(taken, "backfleet")
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        where = f"the strategy plug-in {point.name} ({point.value}, package {point.dist.name if point.dist else '?'})"
        try:
            found = point.load()
        except (ImportError, AttributeError, SyntaxError, ConfigurationError) as error:
            raise ConfigurationError(f"{where} cannot be loaded: {error}; mend or uninstall it") from error
        if not isinstance(found, kind):
            raise ConfigurationError(
                f"{where} is a {type(found).__name__}, not a {kind.__name__}; mend or uninstall it"
            )
        for name in names_of(found):
            if name in owners:
                raise ConfigurationError(f"{where} is called {name}, as one of {owners[name]}; rename or uninstall it")
            owners[name] = point.name
        yield found
