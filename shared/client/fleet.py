"""A client of the service: submit backtests, follow and steer them, read what came of them.

    from backfleet.client import Backfleet

    async with Backfleet("http://127.0.0.1:8000", token) as fleet:
        run = await fleet.submit(symbol="AAPL", interval="1d", startDate="2010-01-01", endDate="2013-01-01",
                                 strategies=["sma"])
        async for event in run.events():
            print(event.name, event.data)
        result = await run.result()

It connects again by itself and is told what it missed; it never asks again and again. Needs the extra `client`
(aiohttp) and nothing of the engine. For notebooks and scripts without `async` there is `BlockingBackfleet`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp

from shared.client.answers import RunEvent, read_errors, refusal_of
from shared.client.line import Line, patience, pause
from shared.errors import BackfleetError, FieldError, InvalidRequest, NotFound, Refusal, Unavailable

log = logging.getLogger(__name__)

Token = str | Callable[[], Awaitable[str]]

_ROOT = "/api/algo/backtest"
_NOT_INSTALLED = 501  # unlike its neighbours it says what to do instead, and that asking again does not help
_SILENCE_S = 120.0
_PIECE_BYTES = 256 * 1024


class BacktestFailed(BackfleetError):
    """The backtest came to an end without a result. `code` says how; `stopped` and `deleted` are somebody's wish."""

    def __init__(self, code: str, message: str, errors: list[FieldError]) -> None:
        super().__init__(message, errors)
        self.code = code


class Backfleet:
    """One user at one gateway. Use it as a context: `async with Backfleet(url, token) as fleet`.

    `token` is a token or an API key, or a function that gets one: it is called for each connection, so that tokens that
    expire can be renewed. Refusals are raised as what they are (`InvalidRequest`, `NotFound`, `Conflict`, …; all are
    `BackfleetError`s with `errors`, by field), a service that is away for `patience_s` as `Unavailable`, and at once
    `InvalidRequest` for what is no URL.
    """

    def __init__(self, url: str, token: Token, *, patience_s: float = 60.0) -> None:
        self._url = read_url("url", url)
        self._token = token
        self._patience_s = patience_s
        self._http: aiohttp.ClientSession | None = None
        self._line: Line | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30.0))
        self._line = Line(self._url, self.token, self._http, self._patience_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            await self._line.close()
        if self._http is not None:
            await self._http.close()

    async def token(self) -> str:
        return self._token if isinstance(self._token, str) else await self._token()

    async def submit(
        self, request: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> Run:
        """Stores a backtest; fields as in `POST /api/algo/backtest`. It counts once, however often it is sent."""
        body = {**(request or {}), **fields}
        key = idempotency_key or f"client-{uuid.uuid4()}"
        answer = await self.ask("POST", _ROOT, body=body, headers={"Idempotency-Key": key})
        return Run(self, answer["backtestId"])

    def run(self, backtest_id: str) -> Run:
        """A backtest that is there already."""
        return Run(self, backtest_id)

    async def backtests(self, **query: Any) -> dict[str, Any]:
        """One page of one's own, newest first: `items` and `nextCursor`. Query as of `GET /api/algo/backtest`."""
        return await self.ask("GET", _ROOT, query=query)

    async def fleet(self) -> dict[str, Any]:
        """Workers, their slots and the queue, as of `GET /api/algo/fleet`."""
        return await self.ask("GET", "/api/algo/fleet")

    async def news(self) -> AsyncGenerator[RunEvent, None]:
        """What is said from now on of all one's own backtests: `started`, `progress`, `paused`, `resumed`, and ends.

        What is said while a connection is broken is not told afterwards: ask for `fleet` again now and then.
        """
        async with self.hearing(None) as hear:
            while True:
                event = await hear()
                if event is not None:
                    yield event

    def hearing(self, backtest_id: str | None) -> AbstractAsyncContextManager[Callable[[], Awaitable[RunEvent | None]]]:
        """What is said to the owner of a backtest, of None: of all one's own, while the block lasts; None each time
        something may have been missed."""
        return self.line.hearing(backtest_id)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request to the HTTP API: its JSON. A `body` of bytes is sent as it is.

        A gateway that is away or answers 503 is asked again, for `patience_s` at most; so send only what may be sent
        twice, or with an Idempotency-Key.
        """
        async with patience(self._patience_s, f"{self._url} does not answer"):
            for attempt in range(1_000_000):
                try:
                    return await self._ask_once(method, path, body, query, headers)
                except NotFound:
                    if method == "DELETE" and attempt:
                        return {}  # It is gone: only the answer to the try before was lost.
                    raise
                except (Unavailable, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                    log.info("%s %s: %s; again", method, path, error)
                    await pause(attempt)
        raise AssertionError("patience has an end")

    async def _ask_once(
        self, method: str, path: str, body: object, query: Mapping[str, Any] | None, headers: Mapping[str, str] | None
    ) -> Any:
        assert self._http is not None, "use it as a context: async with Backfleet(url, token) as fleet"
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}
        sent = {"Authorization": f"Bearer {await self.token()}", **(headers or {})}
        raw, written = (body, None) if isinstance(body, bytes) else (None, body)
        async with self._http.request(
            method, self._url + path, data=raw, json=written, params=params, headers=sent
        ) as answer:
            return self._read(answer.status, await answer.text())

    def _read(self, status: int, text: str) -> Any:
        """The JSON of an answer. Raises what it refuses with, and `Unavailable`."""
        if status >= 500 and status != _NOT_INSTALLED:
            raise Unavailable(f"answered {status}: {text[:200]}")
        try:
            said: Any = json.loads(text) if text else {}
        except ValueError:
            raise Refusal(f"{self._url} answered {status} and no JSON: is it the URL of a gateway?") from None
        if status >= 400:
            raise refusal_of(status, said)
        return said

    async def download(self, path: str, *, query: Mapping[str, Any] | None = None) -> AsyncGenerator[bytes, None]:
        """A file of the HTTP API as it comes. Asks again as `ask` does, until it begins.

        Raises `Unavailable` where it breaks off on the way: what came until then is not all of it.
        """
        answer = await self._begin(path, {name: str(value) for name, value in (query or {}).items()})
        try:
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                yield piece
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            raise Unavailable(f"{self._url} broke off on the way: {error}; ask for it again") from error
        finally:
            answer.close()

    async def _begin(self, path: str, params: Mapping[str, str]) -> aiohttp.ClientResponse:
        assert self._http is not None, "use it as a context: async with Backfleet(url, token) as fleet"
        unhurried = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_S)
        async with patience(self._patience_s, f"{self._url} does not answer"):
            for attempt in range(1_000_000):
                try:
                    sent = {"Authorization": f"Bearer {await self.token()}"}
                    answer = await self._http.get(self._url + path, params=params, headers=sent, timeout=unhurried)
                    if answer.status == 200:
                        return answer
                    async with answer:
                        self._read(answer.status, await answer.text())
                    raise Refusal(f"{self._url} answered {answer.status} and no file: is it the URL of a gateway?")
                except (Unavailable, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                    log.info("GET %s: %s; again", path, error)
                    await pause(attempt)
        raise AssertionError("patience has an end")

    @property
    def line(self) -> Line:
        assert self._line is not None, "use it as a context: async with Backfleet(url, token) as fleet"
        return self._line


class Run:
    """One backtest, followed and steered from here."""

    def __init__(self, fleet: Backfleet, backtest_id: str) -> None:
        self.id = backtest_id
        self._fleet = fleet
        self._path = f"{_ROOT}/{quote(backtest_id, safe='')}"

    async def state(self) -> dict[str, Any]:
        """How it stands now, as of `GET /api/algo/backtest/{id}`."""
        return await self._fleet.ask("GET", self._path)

    async def events(self) -> AsyncGenerator[RunEvent, None]:
        """All that is said of it, from a snapshot of now on, until its end: the last one `ends`.

        A connection that breaks is made again, and what was missed is told.
        """
        async with self._fleet.line.subscribed(self.id) as feed:
            while True:
                event = await feed.take()
                yield event
                if event.ends:
                    return

    async def end(
        self, timeout_s: float | None = None, *, on_progress: Callable[[RunEvent], object] = lambda _: None
    ) -> RunEvent:
        """Waits for its end: `backtest:complete` or `backtest:error`. Raises `TimeoutError`.

        `on_progress` hears what its owner is told on the way: that it has started, how far it is, that it paused.
        """
        async with asyncio.timeout(timeout_s), self._fleet.line.hearing(self.id) as heard:
            while True:
                state = await self.state()
                if state["status"] in ("completed", "failed", "stopped"):
                    return self._end_of(state)
                # Until the line breaks (None): then it may have ended unheard.
                while (event := await heard()) is not None:
                    if event.ends:
                        return event
                    on_progress(event)

    async def result(
        self, timeout_s: float | None = None, *, on_progress: Callable[[RunEvent], object] = lambda _: None
    ) -> dict[str, Any]:
        """Its result, once it is there; else as `end`. Raises `BacktestFailed` where there will be none."""
        end = await self.end(timeout_s, on_progress=on_progress)
        if end.name == "backtest:error":
            raise BacktestFailed(end.data.get("code") or "failed", end.data["error"], read_errors(end.data))
        return await self._fleet.ask("GET", f"{self._path}/result")

    async def trades(self, *, limit: int = 500, offset: int = 0) -> dict[str, Any]:
        return await self._fleet.ask("GET", f"{self._path}/trades", query={"limit": limit, "offset": offset})

    async def equity(self, *, max_points: int = 2_000) -> dict[str, Any]:
        return await self._fleet.ask("GET", f"{self._path}/equity", query={"maxPoints": max_points})

    def export(
        self, form: str = "json", *, table: str | None = None, context: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """A file as `GET …/export` makes it, piece by piece: `csv`, `parquet`, `json` or `html`."""
        query = {"format": form} | ({"table": table} if table else {}) | ({"context": "true"} if context else {})
        return self._fleet.download(f"{self._path}/export", query=query)

    async def delete(self) -> None:
        await self._fleet.ask("DELETE", self._path)

    # Each answers how the run stands then: `done` is False where the worker has not said so yet.

    async def pause(self) -> dict[str, Any]:
        return await self._control("pause")

    async def resume(self) -> dict[str, Any]:
        return await self._control("resume")

    async def stop(self, *, close_open_trades: bool = True) -> dict[str, Any]:
        return await self._control("stop", closeOpenTrades=close_open_trades)

    async def speed(self, bars_per_s: float | None) -> dict[str, Any]:
        """None is as fast as it goes."""
        return await self._control("speed", speed="max" if bars_per_s is None else bars_per_s)

    async def step(self, bars: int = 1) -> dict[str, Any]:
        return await self._control("step", bars=bars)

    async def seek(self, *, bar: int | None = None, time: str | None = None) -> dict[str, Any]:
        """To just before a bar, by its index or by an instant: one of them."""
        return await self._control(
            "seek", **{name: to for name, to in (("bar", bar), ("time", time)) if to is not None}
        )

    async def _control(self, action: str, **fields: Any) -> dict[str, Any]:
        body = {"commandId": f"client-{uuid.uuid4()}", **fields}
        return await self._fleet.ask("POST", f"{self._path}/{action}", body=body)

    def _end_of(self, state: dict[str, Any]) -> RunEvent:
        """The end of one that had ended before: what its record says of it. One that failed may have a result, too."""
        if state["resultId"] and state["status"] != "failed":
            return RunEvent("backtest:complete", {"backtestId": self.id, "resultId": state["resultId"]})
        error: dict[str, Any] = state["error"] or {"code": state["status"], "message": f"it was {state['status']}"}
        said: dict[str, Any] = {"backtestId": self.id, "code": error["code"], "error": error["message"]}
        return RunEvent("backtest:error", said | {"errors": error.get("errors") or []})


def read_url(field: str, url: str) -> str:
    """The URL of a gateway, which stands in that field. Raises `InvalidRequest`."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise InvalidRequest.of(field, f"{url!r} is no URL of a gateway; write for example http://127.0.0.1:8000")
    return url.rstrip("/")
