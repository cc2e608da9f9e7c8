"""ccxt, the library that knows how to ask each exchange for candles. It is imported when a fetch begins, never before.

Everything it raises becomes `Trouble` (the next answer may be better) or a `Refusal` (it will not) in this module.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from api.market_data.fetching import LocalClock, Trouble, Watcher, with_patience
from shared.errors import ConfigurationError, ImportRefused, InvalidRequest
from shared.instants import INTERVAL_MS

REQUEST_TIMEOUT_S = 20.0
_PAGE_BARS = 100  # where ccxt does not say what the exchange allows; all of them allow this
_NAMES_SHOWN = 8
# Answers of the 4xx kind that mean "later", not "never", besides those that ccxt knows for limits.
_LATER = {408, 425, 429}


class CcxtExchange:
    """One symbol of one exchange, as `api.market_data.fetching.Exchange` describes it."""

    def __init__(self, ccxt: Any, client: Any, symbol: str) -> None:
        self.name: str = client.id
        self.symbol = symbol
        self.page_bars = _PAGE_BARS
        self._ccxt = ccxt
        self._client = client

    async def load(self, interval: str, clock: LocalClock, watcher: Watcher | None) -> None:
        """Reads which markets there are. Raises `InvalidRequest` for an interval or symbol that is not offered."""
        self._refuse_interval(interval)
        await with_patience(self._load_markets, f"{self.name}: markets", clock, watcher)
        if self.symbol not in self._client.markets:
            raise InvalidRequest.of("symbol", _unknown_symbol(self.name, self.symbol, list(self._client.markets)))
        most = self._client.feature_value(self.symbol, "fetchOHLCV", "limit")
        self.page_bars = int(most) if most else _PAGE_BARS

    async def page(self, interval: str, since_ms: int) -> Sequence[Sequence[Any]]:
        with self._translated():
            return await self._client.fetch_ohlcv(self.symbol, interval, since_ms, self.page_bars)

    async def own_time_ms(self) -> int | None:
        if self._client.has.get("fetchTime") is not True:
            return None
        with self._translated():
            return int(await self._client.fetch_time())

    async def _load_markets(self) -> None:
        with self._translated():
            if not await self._client.load_markets():
                raise Trouble("it listed no markets")

    def _refuse_interval(self, interval: str) -> None:
        if self._client.has.get("fetchOHLCV") is not True:
            raise InvalidRequest.of("exchange", f"{self.name} offers no candles; fetch from another exchange")
        offered = self._client.timeframes or {}
        if interval not in INTERVAL_MS or interval not in offered:
            known = ", ".join(one for one in INTERVAL_MS if one in offered)
            raise InvalidRequest.of("interval", f"{self.name} offers no {interval} candles; it offers {known}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        self._client.answered = None
        try:
            yield
        except self._ccxt.BaseError as error:
            raise self._judge(error) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # What ccxt stumbles over when an answer is well-formed and not what the exchange's documentation says.
            raise Trouble(f"its answer makes no sense ({type(error).__name__}: {str(error)[:120]})") from error

    def _judge(self, error: Exception) -> Exception:
        ccxt, cause = self._ccxt, error.__cause__
        status, headers = self._client.answered or (0, {})
        said = " ".join(str(error).split())[:200]
        if isinstance(error, ccxt.RequestTimeout) and not status:
            return Trouble(f"it did not answer within {self._client.timeout / 1000:g} s")
        # ccxt calls a connection that broke inside an answer an error of the exchange; its cause tells.
        if isinstance(cause, OSError | importlib.import_module("aiohttp").ClientError):
            return Trouble(f"the connection failed ({type(cause).__name__}: {str(cause)[:120]})")
        if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
            return Trouble(f"it answered {status}, too many requests", read_retry_after(headers))
        if status in _LATER:
            return Trouble(f"it answered {status}", read_retry_after(headers))
        if 400 <= status < 500:
            return ImportRefused(
                f"{self.name} refuses ({said}); it may not serve this place or this market: try --base-url with a "
                "mirror, or another exchange"
            )
        if isinstance(error, ccxt.OperationFailed) or status >= 500:
            return Trouble(f"it answered {status}" if status >= 500 else said, read_retry_after(headers))
        return ImportRefused(f"{self.name} refuses: {said}; ask for another symbol or exchange")


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110, 10.2.3); None without one."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def import_ccxt() -> Any:
    """ccxt's asynchronous half. Raises `ConfigurationError` naming the extra where it is missing."""
    try:
        return importlib.import_module("ccxt.async_support")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"backfleet data fetch speaks to exchanges through ccxt, and {error.name} is not installed: "
            'pip install "backfleet[exchanges]"'
        ) from error


@asynccontextmanager
async def open_exchange(
    name: str,
    symbol: str,
    interval: str,
    base_url: str | None = None,
    *,
    clock: LocalClock | None = None,
    watcher: Watcher | None = None,
    timeout_s: float = REQUEST_TIMEOUT_S,
) -> AsyncIterator[CcxtExchange]:
    """The exchange, asked which markets it has. `base_url` stands for scheme, host and port of every address of it.

    Raises `ConfigurationError`, `InvalidRequest` and `ExchangeUnavailable`.
    """
    ccxt = import_ccxt()
    asked = name.lower()
    if asked not in ccxt.exchanges:
        likely = difflib.get_close_matches(asked, ccxt.exchanges, n=_NAMES_SHOWN, cutoff=0.5)
        known = f"did you mean {', '.join(likely)}?" if likely else f"there are {', '.join(ccxt.exchanges)}"
        raise InvalidRequest.of("exchange", f"no exchange is called {name!r}; {known}")
    options: dict[str, Any] = {"fetchMarkets": {"types": [_binance_part(symbol)]}} if asked == "binance" else {}
    config = {"enableRateLimit": True, "timeout": int(timeout_s * 1000), "aiohttp_trust_env": True, "options": options}
    client = _attentive(ccxt, getattr(ccxt, asked))(config)
    try:
        if base_url:
            client.urls["api"] = _moved(client.urls["api"], _checked_base(base_url))
        exchange = CcxtExchange(ccxt, client, symbol)
        await exchange.load(interval, clock or LocalClock(), watcher)
        yield exchange
    finally:
        await client.close()


def _attentive(ccxt: Any, kind: Any) -> Any:
    """The exchange's class, remembering status and headers of the last answer, and hiding nothing of an answer."""

    class Attentive(kind):
        answered: tuple[int, Mapping[str, str]] | None = None

        def on_rest_response(self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any) -> Any:
            self.answered = (code, headers)
            return super().on_rest_response(code, reason, url, method, headers, *rest)

        def parse_json(self, http_response: str) -> Any:
            """ccxt takes text that is not JSON for an empty list where the status says that all is well."""
            value = super().parse_json(http_response)
            if value is None and self.answered and self.answered[0] < 400:
                raise ccxt.BadResponse(f"{self.id} answered {http_response[:80]!r}, which is not JSON")
            return value

        def filter_by_since_limit(self, array: Any, *_: Any, **__: Any) -> Any:
            """Candles from before what was asked for stay to be seen: they are how a stuck exchange shows."""
            return array

    return Attentive


def _binance_part(symbol: str) -> str:
    """Which of Binance's three lists of markets has the symbol: all take seconds to read, and mirrors have one."""
    pair, _, settled = symbol.partition(":")
    return "spot" if not settled else "inverse" if pair.startswith(f"{settled.split('-')[0]}/") else "linear"


def _checked_base(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise InvalidRequest.of(
            "--base-url", f"{base_url!r} is no address of a server; give one as https://data-api.binance.vision"
        )
    return base_url.rstrip("/")


def _moved(urls: Any, base_url: str) -> Any:
    """The addresses, nested as they come, with another beginning; each keeps its path."""
    if isinstance(urls, Mapping):
        return {name: _moved(url, base_url) for name, url in urls.items()}
    return base_url + urlsplit(urls).path if isinstance(urls, str) else urls


def _unknown_symbol(exchange: str, symbol: str, offered: list[str]) -> str:
    """Compares letters and digits alone, so that BTCUSDT finds BTC/USDT."""
    compact: dict[str, str] = {}
    for one in offered:
        compact.setdefault(re.sub(r"\W", "", one.upper()), one)
    likely = difflib.get_close_matches(re.sub(r"\W", "", symbol.upper()), compact, n=_NAMES_SHOWN, cutoff=0.6)
    shown = [compact[one] for one in likely] or offered[:_NAMES_SHOWN]
    return f"{exchange} offers no {symbol}; it has {', '.join(shown)} ({len(offered):,} symbols in all)"
