"""How models are reached: only at addresses that may be, whatever a name means, and with a limit to what is read.

Imported only where a model is asked: it needs the libraries of the extra `ai`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import aclosing, contextmanager
from functools import cache
from ipaddress import ip_address
from typing import Any, cast

import httpcore2
import httpx2

from shared.llm_urls import Address

MayConnect = Callable[[Address], bool]

RESPONSE_MAX_BYTES = 2_000_000
_CONNECT_TIMEOUT_S = 10.0
_CONNECTIONS_MAX = 1_000  # how many asks there may be at once is settled elsewhere
_IDLE_S = 30.0
# All that leaves: what the SDK adds of itself, of this machine or out of the environment stays here.
_HEADERS = {b"host", b"content-type", b"content-length", b"accept", b"authorization", b"user-agent"}


class AddressRefused(Exception):
    """Nothing was sent: the host has no address that may be connected to."""


class ResponseRefused(Exception):
    """What is sent back is too much, or in a form that was not asked for."""


def open_client(may_connect: MayConnect) -> httpx2.AsyncClient:
    """An HTTP client that follows no redirect, heeds no proxy of the environment and connects where it may."""
    return httpx2.AsyncClient(
        transport=_Transport(may_connect), follow_redirects=False, trust_env=False, timeout=httpx2.Timeout(None)
    )


class _Network(httpcore2.AsyncNetworkBackend):
    """Connects to addresses, never to names: what was checked is what is connected to, whatever a name means later."""

    def __init__(self, may_connect: MayConnect) -> None:
        self._may_connect = may_connect
        self._network = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        problem: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._network.connect_tcp(
                    str(address), port, _CONNECT_TIMEOUT_S, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem or httpcore2.ConnectError("the host has no address")

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("the host is not known") from error
        addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        allowed = [address for address in dict.fromkeys(addresses) if self._may_connect(address)]
        if addresses and not allowed:
            raise AddressRefused
        return allowed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, may_connect: MayConnect) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_trust(),
            max_connections=_CONNECTIONS_MAX,
            keepalive_expiry=_IDLE_S,
            network_backend=_Network(may_connect),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        headers = [(name, value) for name, value in request.headers.raw if name.lower() in _HEADERS]
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=[*headers, (b"accept-encoding", b"identity")],
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            response = await self._pool.handle_async_request(asked)
        body = _Body(response)
        encodings = [value for name, value in response.headers if name.lower() == b"content-encoding"]
        if any(value.strip().lower() != b"identity" for value in encodings):
            await body.aclose()
            raise ResponseRefused("it is compressed, which was not asked for")
        return httpx2.Response(response.status, headers=response.headers, stream=body)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        with _translated():
            async with aclosing(self._response.aiter_stream()) as parts:
                async for part in parts:
                    read += len(part)
                    if read > RESPONSE_MAX_BYTES:
                        raise ResponseRefused(f"it has more than {RESPONSE_MAX_BYTES:,} bytes")
                    yield part

    async def aclose(self) -> None:
        await self._response.aclose()


@cache
def _trust() -> ssl.SSLContext:
    """Whom this machine trusts: read once, which takes as long as a few asks."""
    return httpcore2.default_ssl_context()


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise httpx2.TimeoutException(str(error)) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise httpx2.TransportError(str(error)) from error
