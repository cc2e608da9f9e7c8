"""What older clients are answered, for /docs. It is built by hand; tests hold it against these models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.routes.answers import Answer, Instant, StatusName

SessionStatus = Literal["idle", "running", "paused", "completed", "stopped", "failed"]
_ID = "bt_01m7xy1ymv1kn41cwsxzn6z2tf"
_STATUS = "`idle` until it is started; the last three are ends."
_NOTE = "Only where another symbol was written than there is market data of: which one is used."


class SessionCreated(Answer):
    """A session that waits to be started."""

    session_id: str = Field(description="Names it; it is a backtestId, too.", examples=[_ID])
    status: SessionStatus = Field(description="`idle`; where its Idempotency-Key was used before, as it is now.")
    symbol: str = Field(description="Whose bars it reads.", examples=["BTCUSD"])
    strategies: list[str] = Field(description="Which it runs.")
    expires_at: Instant | None = Field(description="When it is removed unless it is started by then; null afterwards.")
    note: str | None = Field(default=None, description=_NOTE)


class SessionListed(Answer):
    """One of one's sessions."""

    session_id: str = Field(description="Names it.", examples=[_ID])
    status: SessionStatus = Field(description=_STATUS)
    symbol: str = Field(description="Whose bars it reads.")
    start_date: str = Field(description="As it was asked for.", examples=["2024-01-01"])
    end_date: str = Field(description="As it was asked for; exclusive.", examples=["2024-12-01"])
    progress_percent: float = Field(ge=0, le=100, description="Percent of its bars.")
    created_at: Instant = Field(description="When it was created.")


class SessionPage(Answer):
    """A part of one's sessions, newest first."""

    sessions: list[SessionListed] = Field(description="At most `limit` of them.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class Session(Answer):
    """A session and its state."""

    session_id: str = Field(description="Names it.", examples=[_ID])
    state: dict[str, Any] = Field(description="As of the newest that is known: the fields of `backtest:state`.")


class Acted(Answer):
    """What an action led to."""

    session_id: str = Field(description="Names it.", examples=[_ID])
    status: SessionStatus = Field(description=_STATUS)


class Run(Answer):
    """A backtest that will run."""

    model_config = ConfigDict(alias_generator=None)

    backtest_id: str = Field(description="Names it from now on.", examples=[_ID])
    status: StatusName = Field(description="`pending` of a new one.")
    symbol: str = Field(description="Whose bars it reads.")
    note: str | None = Field(default=None, description=_NOTE)
