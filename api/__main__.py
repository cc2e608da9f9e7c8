"""`python -m api`: the gateway as a process."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys

import uvicorn

from api.app import create_app
from api.transport import SocketProtocol
from shared.errors import BackfleetError, ConfigurationError
from shared.observability import configure_logging
from shared.settings import Settings, load_settings

log = logging.getLogger(__name__)

# Open requests get this long after SIGTERM; a client that polls would otherwise hold the process for its whole wait.
GRACE_S = 5
BACKLOG = 2_048


def bind(settings: Settings) -> socket.socket:
    """Raises `ConfigurationError` saying why the gateway cannot listen where it should."""
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"BACKFLEET_HOST {settings.host} is not an address: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"{where} is taken; free it or choose another BACKFLEET_PORT") from None
        raise ConfigurationError(f"cannot listen on {where}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def build_server(settings: Settings) -> uvicorn.Server:
    """uvicorn around the gateway, with bounded messages and without a log line per request."""
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        lifespan="on",
        ws=SocketProtocol,
        ws_max_size=settings.request_max_bytes,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


async def serve(server: uvicorn.Server, listener: socket.socket) -> bool:
    """Serves until SIGTERM or SIGINT. False when the gateway could not start."""
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    try:
        await server.serve(sockets=[listener])
    except SystemExit:
        return False  # uvicorn's way to say that the application refused to start; the reason is logged.
    return server.started


def main() -> int:
    try:
        settings = load_settings()
        configure_logging(settings)
        # It says a line for each socket that opens and closes; what it warns of is worth one.
        logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLogger().level))
        # uvicorn raises the signal that ended it once more; to be told to stop and to do so is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server = build_server(settings)
        gc.freeze()  # What was made so far stays: no full collection need look through it for garbage.
        with bind(settings) as listener, asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            return 0 if runner.run(serve(server, listener)) else 1
    except BackfleetError as error:
        sys.stderr.write(f"backfleet api: {error.message}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
