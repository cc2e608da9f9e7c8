"""Answers are sent compressed to whoever can read them so."""

from __future__ import annotations

from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES = 1_000
# Larger ones are compressed in a thread: what is answered meanwhile must not wait for them.
THREAD_FROM_BYTES = 16_384
# Of rows of numbers in JSON, level 9 makes hardly less than this one, in several times the time.
_LEVEL = 5
# Neither what is small already, nor lines that are to be read as they come.
_PLAIN = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/zstd", "application/vnd.apache.parquet", "application/x-ndjson")

_OF_GZIP = b"-gzip"


class Compression:
    """Compresses the answers of `app` from `LEAST_BYTES` on, for clients whose `Accept-Encoding` names gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._gzip = GZipMiddleware(
            app,
            minimum_size=LEAST_BYTES,
            compresslevel=_LEVEL,
            thread_minimum_size=THREAD_FROM_BYTES,
            exclude_content_types=_PLAIN,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return
        if not takes_gzip(Headers(scope=scope)):
            await self._plain(scope, receive, partial(_send_described, send, b""))
            return
        known = [
            (name, value.replace(_OF_GZIP + b'"', b'"') if name == b"if-none-match" else value)
            for name, value in scope["headers"]
        ]
        await self._gzip(dict(scope, headers=known), receive, partial(_send_described, send, _OF_GZIP))


def takes_gzip(headers: Headers) -> bool:
    """Whether the client names gzip, and not only to say that it does not take it."""
    for one in ",".join(headers.getlist("accept-encoding")).split(","):
        coding, _, weight = one.replace(" ", "").lower().partition(";q=")
        if coding in ("gzip", "x-gzip"):
            return weight.rstrip("0") not in ("0.", "") if weight else True
    return False


async def _send_described(send: Send, of_coding: bytes, message: Message) -> None:
    """Says on what the answer depends, and for what coding its tag stands: a strong one promises the same bytes.

    Of an answer without a body (304) the tag is the one that the answer with it would have had.
    """
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        if "accept-encoding" not in headers.get("vary", "").lower():
            headers.add_vary_header("Accept-Encoding")
        tag = headers.get("etag", "")
        if tag.endswith('"'):
            headers["ETag"] = f'{tag[:-1]}{of_coding.decode()}"'
    await send(message)
