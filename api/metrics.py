"""What an operator's Prometheus reads: counted and measured here, gauges of the fleet as it is when it is asked.

Labels are few and bounded: a route by its template, never by what a client wrote, a status by its class. What has ended
is counted from the records, so that nothing that Redis loses is missing; each gateway counts the ends of the whole
fleet, and times only the backtests that were submitted to it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.fleet import Fleet, Load, age_s
from api.kept import FRESH_S
from api.listeners import Piece
from shared import package_version
from shared.errors import InvalidRequest
from shared.instants import read_instant_ms
from shared.lifecycle import TERMINAL

_HTTP_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BACKTEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
# What a foreign publisher writes as a time may be any; a sum must outlive it.
_LAG_MAX_S = 3_600.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SUBMITTED_MAX = 20_000
_HEARD_MAX = 2_000
# Ends are counted when they are as old as this: one may be stored a little later than another that ended after it.
_SETTLED_MS = 5_000
_COUNTED_AT_ONCE_MS = 3_600_000

disable_created_metrics()
_began_s: ContextVar[float | None] = ContextVar("request_began_s", default=None)


SocketCounts = tuple[int, int, int]  # open, signed in, subscriptions


class Metrics:
    """One gateway's. `watch` says whose state to tell; until then only what was measured is known.

    `sockets` counts the sockets here, where there are any.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._state = _State()
        self.registry.register(self._state)
        self._http = Histogram(
            "backfleet_http_request_seconds",
            "From a request's arrival to the end of its answer, by route template.",
            ("route", "method", "status"),
            buckets=_HTTP_S,
            registry=self.registry,
        )
        self._http_of = cache(self._http.labels)  # as many as there are labels, which are few
        self._total = Histogram(
            "backfleet_backtest_seconds",
            "From submitting a backtest to this gateway until its end was heard here.",
            buckets=_BACKTEST_S,
            registry=self.registry,
        )
        self._wait = Histogram(
            "backfleet_queue_wait_seconds",
            "From submitting a backtest to this gateway until its first run began.",
            buckets=_BACKTEST_S,
            registry=self.registry,
        )
        self._lag = Histogram(
            "backfleet_relay_lag_seconds",
            "From when a message was said, on MongoDB's clock, until this gateway relayed it.",
            buckets=_LAG_S,
            registry=self.registry,
        )
        self._ended = Counter(
            "backfleet_ended",
            "Backtests of the whole fleet that ended since this gateway began, by status.",
            ("status",),
            registry=self.registry,
        )
        for status in TERMINAL:
            self._ended.labels(status.value)
        self._counting = asyncio.Lock()
        self._counted_until_ms = self._counted_s = 0.0
        self._fleet: Fleet | None = None
        self.sockets: Callable[[], SocketCounts] = lambda: (0, 0, 0)
        self._submitted: OrderedDict[str, tuple[float, bool]] = OrderedDict()
        # News can come before the submit that caused it has returned.
        self._heard: OrderedDict[str, tuple[float | None, float | None]] = OrderedDict()

    def watch(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._counted_until_ms = fleet.now_ms()

    # Measured

    def answered(self, route: str, method: str, status: str, took_s: float) -> None:
        self._http_of(route, method if method in _METHODS else "other", status).observe(took_s)

    def submitted(self, backtest_id: str) -> None:
        """It was stored, at the request that is under way."""
        if backtest_id in self._submitted:
            return
        began_s = _began_s.get() or time.monotonic()
        started_s, ended_s = self._heard.pop(backtest_id, (None, None))
        # The same request may be sent again, long after what it asked for was done: that is no latency.
        if started_s is not None and started_s >= began_s:
            self._wait.observe(started_s - began_s)
        if ended_s is not None:
            if ended_s >= began_s:
                self._total.observe(ended_s - began_s)
            return
        self._submitted[backtest_id] = (began_s, started_s is not None)
        if len(self._submitted) > _SUBMITTED_MAX:
            self._submitted.popitem(last=False)

    def heard(self, piece: Piece) -> None:
        """A message of any backtest, as it is relayed."""
        if piece.position is None:
            return
        if piece.said_at is not None:
            self._observe_lag(piece.said_at)
        begins = piece.event == "backtest:started"
        if not begins and not piece.ends:
            return
        now_s = time.monotonic()
        known = self._submitted.get(piece.backtest_id)
        if known is None:
            started_s = self._heard.pop(piece.backtest_id, (None, None))[0]
            self._heard[piece.backtest_id] = (started_s or now_s, None) if begins else (started_s, now_s)
            if len(self._heard) > _HEARD_MAX:
                self._heard.popitem(last=False)
            return
        began_s, has_begun = known
        if begins and not has_begun:
            self._wait.observe(now_s - began_s)
            self._submitted[piece.backtest_id] = (began_s, True)
        elif piece.ends:
            self._total.observe(now_s - began_s)
            del self._submitted[piece.backtest_id]

    def _observe_lag(self, said_at: str) -> None:
        if self._fleet is not None:
            try:
                said_ms = read_instant_ms("timestamp", said_at)
            except InvalidRequest:
                return
            self._lag.observe(min(age_s(said_ms, self._fleet.now_ms()), _LAG_MAX_S))

    # Read

    async def text(self, *, relaying: bool) -> bytes:
        """All of it in Prometheus' text format. Never raises, and takes no longer than twice the limit of one part:
        once for an answer that is under way already, once for our own."""
        load = Load(None, None, None, None)
        now_ms = 0
        if self._fleet is not None:
            load, _ = await asyncio.gather(self._fleet.load(), self._count_ended(self._fleet))
            now_ms = self._fleet.now_ms()
        self._state.set(load, now_ms, relaying=relaying, sockets=self.sockets())
        return generate_latest(self.registry)

    async def _count_ended(self, fleet: Fleet) -> None:
        async with self._counting:
            if time.monotonic() - self._counted_s < FRESH_S:
                return
            self._counted_s = time.monotonic()
            since_ms = int(self._counted_until_ms)
            until_ms = min(fleet.now_ms() - _SETTLED_MS, since_ms + _COUNTED_AT_ONCE_MS)
            counts = await fleet.ended(since_ms, until_ms) if until_ms > since_ms else None
            if counts is not None:
                self._counted_until_ms = until_ms
                for status, count in counts.items():
                    self._ended.labels(status.value).inc(count)


class _State(Collector):
    """Gauges of the last look. What could not be looked at is left out rather than told as nothing."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)

    def set(self, load: Load, now_ms: int, *, relaying: bool, sockets: SocketCounts) -> None:
        up = {"mongodb": load.queue is not None, "redis": load.workers is not None, "relay": relaying}
        opened, signed_in, subscriptions = sockets
        self._metrics = [
            InfoMetricFamily("backfleet_build", "What runs here.", {"version": package_version()}),
            _gauge("backfleet_up", "Whether a part that the gateway needs answers.", "part", up),
            *_queue(load, now_ms),
            *_workers(load),
            _gauge(
                "backfleet_sockets",
                "Sockets of both kinds.",
                "state",
                {"open": opened, "signed_in": signed_in},
            ),
            GaugeMetricFamily("backfleet_subscriptions", "Subscriptions of the sockets here.", subscriptions),
        ]
        if load.running is not None:
            self._metrics.append(GaugeMetricFamily("backfleet_running", "Backtests that run now.", load.running))
        if load.paused is not None:
            self._metrics.append(GaugeMetricFamily("backfleet_paused", "Backtests that are paused.", load.paused))


def _gauge(name: str, text: str, label: str, values: dict[str, float] | dict[str, int] | dict[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value_of, value in values.items():
        family.add_metric((value_of,), float(value))
    return family


def _queue(load: Load, now_ms: int) -> Iterator[Metric]:
    if load.queue is None:
        return
    pending = {"0": 0} | {str(one.priority): one.pending for one in load.queue}
    ages = {"0": 0.0} | {str(one.priority): age_s(one.oldest_at_ms, now_ms) for one in load.queue}
    yield _gauge("backfleet_pending", "Backtests that wait for a worker.", "priority", pending)
    yield _gauge("backfleet_oldest_pending_seconds", "How long the oldest of them waits.", "priority", ages)


def _workers(load: Load) -> Iterator[Metric]:
    if load.workers is None:
        return
    draining = sum(one.draining for one in load.workers)
    workers = {"working": len(load.workers) - draining, "draining": draining}
    busy = sum(one.busy for one in load.workers)
    slots = {"busy": busy, "free": sum(one.slots for one in load.workers if not one.draining)}
    slots["free"] -= sum(one.busy for one in load.workers if not one.draining)
    yield _gauge("backfleet_workers", "Workers that are there.", "state", workers)
    yield _gauge("backfleet_slots", "Slots of workers, of which each runs one backtest.", "state", slots)


class MeasuredHttp:
    """Times every request of an application that names its routes as Starlette does."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began_s = time.monotonic()
        status = "none"

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = f"{message['status'] // 100}xx"
            await send(message)

        mark = _began_s.set(began_s)
        try:
            await self._app(scope, receive, note)
        finally:
            _began_s.reset(mark)
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.answered(route, scope["method"], status, time.monotonic() - began_s)
        return None
