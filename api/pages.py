"""The dashboard's files as they are served: read once when the gateway starts, so that no request names a path.

What the build puts into `assets/` carries the hash of its content in its name and is kept by browsers for ever. All
else is asked for again, and not sent again while it is the same.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path, PurePath

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response

from api.compression import LEAST_BYTES, takes_gzip
from shared.errors import NotFound

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "dashboard" / "static"
# A page that was asked for by `/` is this file; what is in the folder for others to fill in is not served.
INDEX = "index.html"
_NOT_SERVED = ("report.html",)

# `'self'` also lets a page speak to its own host's WebSocket, over http and over https: CSP 3, and every browser that
# runs what Vite builds (Safari since 15.4).
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = {"X-Content-Type-Options": "nosniff"}
_OF_PAGES = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
}
_ASKED_AGAIN = {"Cache-Control": "no-cache"}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
# By our own table: what the machine's says differs from one to the next.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_DENSE = (".png", ".woff2")
_LEVEL = 9  # It is done once.


class StaticFile:
    """One file, in memory, and compressed from the first time that somebody takes it so."""

    def __init__(self, name: str, content: bytes, headers: Mapping[str, str]) -> None:
        suffix = PurePath(name).suffix
        self._content = content
        self._packed: bytes | None = None
        self._packs = len(content) >= LEAST_BYTES and suffix not in _DENSE
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._headers = {**_SAFE, **headers, "ETag": self._tag}
        self._media_type = _MEDIA_TYPES.get(suffix, "application/octet-stream")

    async def answer(self, asked: Headers) -> Response:
        """To a request with these headers. `Compression` adds what it is to say of codings."""
        known = asked.get("if-none-match", "")
        if self._tag in known or known.strip() == "*":
            return Response(status_code=304, headers=self._headers)
        if not self._packs or not takes_gzip(asked):
            return Response(self._content, headers=self._headers, media_type=self._media_type)
        if self._packed is None:
            self._packed = await run_in_threadpool(gzip.compress, self._content, _LEVEL, mtime=0)
        headers = self._headers | {"Content-Encoding": "gzip"}
        return Response(self._packed, headers=headers, media_type=self._media_type)


class Pages:
    """All files of a folder that the build has made, by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """A folder that is not there is no error: a gateway without a page serves everything else."""
        self.files = {
            one.name: StaticFile(one.name, one.read_bytes(), _ASKED_AGAIN | (_OF_PAGES if _is_page(one) else {}))
            for one in _files_in(folder)
            if one.name not in _NOT_SERVED
        }
        self._assets = {one.name: StaticFile(one.name, one.read_bytes(), _KEPT) for one in _files_in(folder / "assets")}
        if INDEX not in self.files:
            log.warning("there is no dashboard in %s; `make dashboard` builds it", folder)

    def index(self) -> StaticFile:
        """Raises `NotFound` where there is none."""
        if INDEX not in self.files:
            raise NotFound("this gateway came without its page, which `make dashboard` builds; docs tells of its API")
        return self.files[INDEX]

    def asset(self, name: str) -> StaticFile:
        """Raises `NotFound`."""
        if name not in self._assets:
            raise NotFound("no such file of the dashboard; a page that asks for it is an older one, load it again")
        return self._assets[name]


def _is_page(path: Path) -> bool:
    return path.suffix == ".html"


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))
