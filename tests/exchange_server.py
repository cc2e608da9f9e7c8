"""A server that speaks the part of Binance's interface that fetching candles needs, and misbehaves when told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from shared.bars import Bars

Rows = list[list[Any]]
# What one request for candles gets in place of its rows. Returns True when it has answered.
Trick = Callable[["Handler", Rows], bool]


@dataclass
class Binance:
    """The bars it has of BTC/USDT, how many it gives at once, and the tricks it plays, one per request for candles."""

    bars: Bars
    now_ms: int
    step_ms: int = 3_600_000
    page_bars: int = 1_000
    tricks: list[Trick | None] = field(default_factory=list[Trick | None])
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    markets_text: str = ""
    url: str = ""

    def rows(self, query: dict[str, str]) -> Rows:
        """As Binance answers: the first candles from startTime on, prices as text."""
        most = min(int(query["limit"]), self.page_bars)
        low = int(self.bars.time_ms.searchsorted(int(query.get("startTime", 0))))
        columns = [column[low : low + most].tolist() for column in self.bars]
        return [
            [time, *map(repr, values), time + self.step_ms - 1, "0", 1, "0", "0", "0"]
            for time, *values in zip(*columns, strict=True)
        ]

    def markets(self) -> str:
        pairs = [("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC")]
        listed = [
            {
                "symbol": base + quote,
                "status": "TRADING",
                "baseAsset": base,
                "quoteAsset": quote,
                "filters": [],
                "permissions": ["SPOT"],
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
            }
            for base, quote in pairs
        ]
        return self.markets_text or json.dumps({"timezone": "UTC", "symbols": listed})


class Handler(BaseHTTPRequestHandler):
    """One request. Tricks call `answer` or `break_off`."""

    exchange: Binance
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        match parts.path.removeprefix("/mirror"):
            case "/api/v3/exchangeInfo":
                self.answer(200, self.exchange.markets())
            case "/api/v3/time":
                self.answer(200, json.dumps({"serverTime": self.exchange.now_ms}))
            case "/api/v3/klines":
                self._candles(query)
            case _:
                self.answer(404, "{}")

    def _candles(self, query: dict[str, str]) -> None:
        self.exchange.asked.append(query)
        rows = self.exchange.rows(query)
        trick = self.exchange.tricks.pop(0) if self.exchange.tricks else None
        if not (trick and trick(self, rows)):
            self.answer(200, json.dumps(rows))

    def answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def break_off(self, text: str) -> None:
        """Promises more than it sends, and hangs up."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text) + 1_000))
        self.end_headers()
        self.wfile.write(text.encode())
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(exchange: Binance) -> Iterator[Binance]:
    """The exchange on a free port of this machine, under `exchange.url`."""
    handler = type("HandlerOfOne", (Handler,), {"exchange": exchange})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    exchange.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield exchange
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
