"""What somebody may do beyond what is his own: the market data that all share, and places at the head of the queue."""

from __future__ import annotations

from api.auth import Identity
from shared.errors import Forbidden, InvalidRequest
from shared.records import PRIORITY_MAX
from shared.settings import Settings
from shared.users import Role, Scope


def may_change_data(asker: Identity, settings: Settings) -> bool:
    """Whether the market data that all share is also the asker's to change."""
    scoped = asker.scopes is None or Scope.DATA in asker.scopes
    return scoped and (settings.data_is_everybodys or Role.ADMIN in asker.roles)


def require_data(asker: Identity, settings: Settings) -> None:
    """Raises `Forbidden` for who may not import or remove shared market data."""
    asker.require(Scope.DATA)
    if not may_change_data(asker, settings):
        raise Forbidden(
            "market data is shared by all, and only admins may change it here; ask one, or set "
            "BACKFLEET_SHARED_DATA_BY to everybody"
        )


def priority_max_of(asker: Identity, settings: Settings) -> int:
    """The highest priority that the asker's backtests may have."""
    return PRIORITY_MAX if Role.ADMIN in asker.roles else settings.users_priority_max


def require_priority(asker: Identity, priority: int, settings: Settings) -> None:
    """Raises `InvalidRequest` for a priority above the asker's."""
    most = priority_max_of(asker, settings)
    if priority > most:
        message = f"must be at most {most} for who is no admin (got {priority}); ask for {most} or less"
        raise InvalidRequest.of("priority", message, "priority_not_allowed")
