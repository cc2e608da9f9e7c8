"""What is compressed, for whom, and what the answer says of it."""

from __future__ import annotations

import threading

import httpx
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api import compression
from api.compression import Compression

TEXT = '{"price":1.25,"volume":17}' * 100


def tagged(body: str, media_type: str = "application/json") -> ASGIApp:
    """Answers `body`, or 304 to who names its tag."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        known = dict(scope["headers"]).get(b"if-none-match", b"").decode()
        headers = {"ETag": '"tag"'}
        fresh = '"tag"' in known
        answer = Response(status_code=304, headers=headers) if fresh else Response(body, 200, headers, media_type)
        await answer(scope, receive, send)

    return app


async def get(app: ASGIApp, encoding: str, known: str = "") -> httpx.Response:
    headers = {"Accept-Encoding": encoding} | ({"If-None-Match": known} if known else {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Compression(app)), base_url="http://x") as client:
        return await client.get("/", headers=headers)


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=1.0", True),
        ("identity", False),
        ("", False),
        ("gzip;q=0", False),
        ("br, gzip; q=0.0", False),
    ],
)
async def test_what_is_long_is_compressed_for_who_takes_it(encoding: str, compressed: bool) -> None:
    answer = await get(tagged(TEXT), encoding)
    assert answer.text == TEXT
    assert answer.headers["vary"] == "Accept-Encoding"
    assert ("content-encoding" in answer.headers) is compressed
    assert (int(answer.headers["content-length"]) < len(TEXT) / 5) is compressed


@pytest.mark.parametrize(("body", "media_type"), [("{}", "application/json"), (TEXT, "text/event-stream")])
async def test_what_is_short_or_comes_bit_by_bit_is_left_as_it_is(body: str, media_type: str) -> None:
    answer = await get(tagged(body, media_type), "gzip")
    assert (answer.text, "content-encoding" in answer.headers) == (body, False)


async def test_a_tag_stands_for_the_bytes_of_one_coding_and_is_known_again() -> None:
    packed, plain = await get(tagged(TEXT), "gzip"), await get(tagged(TEXT), "identity")
    assert packed.headers["etag"] != plain.headers["etag"] == '"tag"'
    for encoding, first in (("gzip", packed), ("identity", plain)):
        for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
            again = await get(tagged(TEXT), encoding, known)
            assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])
            assert again.headers["vary"] == "Accept-Encoding"
    assert (await get(tagged(TEXT), "identity", packed.headers["etag"])).status_code == 200


async def test_much_is_compressed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    compress = "starlette.middleware.gzip.GZipResponder._compress_body"
    monkeypatch.setattr(compress, lambda _self, body, _more: threads.append(threading.get_ident()) or body)
    await get(tagged(TEXT), "gzip")
    await get(tagged("x" * compression.THREAD_FROM_BYTES), "gzip")
    assert threads[0] == threading.get_ident() != threads[1]
