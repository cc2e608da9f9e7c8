"""Where a user's model server may be: nothing that only we can reach, unless a setting allows it.

A name may come to any address, another one each time: whoever connects checks the address with `is_public` once more.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from shared.errors import InvalidRequest

URL_MAX_CHARS = 500
_PRIVATE = "BACKFLEET_LLM_PRIVATE_URLS"
_PRIVATE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_LETTERS = re.compile(r"[!-~]+")
# What some resolvers take for an address: 2130706433, 0x7f.1 and 127.1 are all 127.0.0.1.
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)$")
_NAT64, _NAT64_LOCAL = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address is on the internet for everybody, also where it is one of IPv4 in the clothes of IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None or address.is_site_local or address in _NAT64_LOCAL:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)


def check_base_url(text: str, *, private_allowed: bool, field: str = "baseUrl") -> str:
    """The URL without a slash at its end. Raises `InvalidRequest` at `field` for one that may not be used."""
    if not _LETTERS.fullmatch(text) or len(text) > URL_MAX_CHARS or "\\" in text:
        raise _wrong(field, f"must be a URL of at most {URL_MAX_CHARS} printable ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(field, "is no URL; write https://host/v1") from None
    if parts.scheme not in ("https", "http") or not host:
        raise _wrong(field, "must begin with https:// and a host; write https://host/v1")
    if parts.scheme == "http" and not private_allowed:
        raise _wrong(field, f"must begin with https://; plain http is for private servers, where {_PRIVATE} is set")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise _wrong(field, "must have neither a user, a query nor a fragment; the key has a field of its own")
    if port == 0:
        raise _wrong(field, "has port 0; leave the port out or write the server's")
    _check_host(host.rstrip("."), private_allowed, field)
    return text.rstrip("/")


def _check_host(host: str, private_allowed: bool, field: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host) or len(host) > 253 or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise _wrong(field, "names no host; write its name, or its address in the usual form") from None
        own = "." not in host or any(f".{host}".endswith(f".{name}") for name in _PRIVATE_NAMES)
    else:
        own = not is_public(address)
    if own and not private_allowed:
        raise _wrong(
            field, f"names a private host; use a public one, or have {_PRIVATE} set for this gateway", "private_url"
        )


def _wrong(field: str, message: str, code: str = "invalid") -> InvalidRequest:
    """Without the URL: somebody may have written a secret into it."""
    return InvalidRequest.of(field, message, code)
