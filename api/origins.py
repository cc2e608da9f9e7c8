"""Which pages may call the gateway from a browser: those of the origins that are set, and its own."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from shared.settings import Settings

# A method that a path does not have is answered 405, which a page can read; what is missing here it cannot.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Modified-Since",
    "If-None-Match",
    "Last-Event-ID",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
    "Mcp-Session-Id",
)
_ANSWER_HEADERS = ("ETag", "Location", "Mcp-Session-Id", "Retry-After", "WWW-Authenticate")


class Origins:
    """Judges the `Origin` of a request, over HTTP and over sockets."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.cors_origins)
        self._behind_proxy = bool(settings.trusted_proxies)

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with what a browser needs to hear, also of its refusals, before a page may read an answer."""
        if not self._allowed:
            return app
        return CORSMiddleware(
            app,
            allow_origins=self._allowed,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_ANSWER_HEADERS,
        )

    def admits_socket(self, _origin: str | None, environ: dict[str, Any]) -> bool:
        """As the library for sockets asks, which has no answer for the own origin once others are set."""
        return self.admits(environ["asgi.scope"])

    def admits(self, scope: Scope) -> bool:
        """Whether the request names an origin that may call."""
        headers = Headers(scope=scope)
        origin = headers.get("origin", "").lower()
        return bool(origin) and (origin in self._allowed or "*" in self._allowed or origin in self._own(scope, headers))

    def _own(self, scope: Scope, headers: Headers) -> set[str]:
        """The origins that a page of this gateway can have.

        Where something in front ends TLS, a page that came over https is served to us as if over http. The name by
        which the page knows the gateway may stand in X-Forwarded-Host, where a proxy is trusted to write it.
        """
        hosts = [headers.get("host", "")]
        if self._behind_proxy:
            hosts.append(headers.get("x-forwarded-host", "").partition(",")[0].strip())
        scheme = str(scope["scheme"]).replace("ws", "http", 1)
        return {f"{one}://{host.lower()}" for host in hosts if host for one in (scheme, "https")}
