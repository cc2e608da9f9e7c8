"""What the answer about the fleet looks like, for /docs. It is built by hand; tests hold it against these models."""

from __future__ import annotations

from pydantic import Field

from api.routes.answers import Answer, Instant


class Worker(Answer):
    """One worker process that is there."""

    id: str = Field(description="Host, process and a part of its own; never used again.", examples=["box-17-4g2k9x0p"])
    host: str = Field(description="Name of its machine or container.")
    version: str = Field(description="Version of backfleet it runs.", examples=["0.1.0"])
    slots: int = Field(ge=0, description="How many backtests it can run at once.")
    busy: int = Field(ge=0, description="How many it runs.")
    draining: bool = Field(description="Whether it takes no more and goes when what it runs has ended.")
    since: Instant = Field(description="When it began.")
    last_seen: Instant = Field(description="When it last said that it is there.")


class QueueLevel(Answer):
    """What waits at one priority."""

    priority: int = Field(ge=-9, le=9, description="Higher runs earlier.")
    pending: int = Field(ge=1, description="How many backtests wait, of all users.")
    oldest_seconds: float = Field(ge=0, description="How long the oldest of them has waited.")


class Run(Answer):
    """One backtest that runs now."""

    backtest_id: str = Field(description="Which.")
    user_id: str = Field(description="Whose: one's own, unless an admin asks.")
    status: str = Field(description="`running`, or `paused` where it holds its slot.", examples=["running"])
    symbol: str | None = Field(description="Of which market.", examples=["AAPL"])
    interval: str | None = Field(description="Length of its bars.", examples=["1d"])
    priority: int = Field(ge=-9, le=9, description="Higher runs earlier.")
    worker_id: str = Field(description="Where: `id` of a worker.")
    started_at: Instant = Field(description="When this run of it began.")
    progress: float = Field(ge=0, le=100, description="Percent of its bars.", examples=[42.5])
    bars_per_second: float | None = Field(description="Its pace since it began; null while it has said none.")


class EndedCounts(Answer):
    """How many backtests of all users ended lately, by how."""

    since: Instant = Field(description="From when on they are counted: an hour ago.")
    completed: int = Field(ge=0, description="With a result.")
    failed: int = Field(ge=0, description="With an error.")
    stopped: int = Field(ge=0, description="Where somebody stopped them.")


class Throughput(Answer):
    """How many backtests of all users ended within one minute, by how."""

    since: Instant = Field(description="When the minute began.")
    completed: int = Field(ge=0, description="With a result.")
    failed: int = Field(ge=0, description="With an error.")
    stopped: int = Field(ge=0, description="Where somebody stopped them.")


class RecentFailure(Answer):
    """One backtest that failed within the last hour."""

    backtest_id: str = Field(description="Which.")
    user_id: str = Field(description="Whose: one's own, unless an admin asks.")
    symbol: str | None = Field(description="Of which market.", examples=["AAPL"])
    at: Instant = Field(description="When it failed.")
    code: str | None = Field(description="Stable machine-readable name of the reason.", examples=["strategy_error"])
    message: str | None = Field(description="What went wrong, for people.")


class FleetView(Answer):
    """The fleet as it is."""

    time: Instant = Field(description="When this was so.")
    workers: list[Worker] | None = Field(description="All that are there, by id; null while Redis does not answer.")
    queue: list[QueueLevel] = Field(description="What waits, highest priority first; nothing where nothing waits.")
    running: int = Field(ge=0, description="How many backtests run, of all users.")
    paused: int = Field(ge=0, description="How many are paused, of all users, whether they hold a slot or not.")
    runs: list[Run] = Field(
        description="One's own that run or hold a slot (an admin: all), last begun first, at most 100."
    )
    ended: EndedCounts = Field(description="What ended within the last hour.")
    throughput: list[Throughput] = Field(
        description="What ended in each of the last 60 minutes, oldest first; the last of them is still under way."
    )
    failures: list[RecentFailure] = Field(
        description="One's own that failed within the last hour (an admin: all), newest first, at most 20."
    )
