"""Whose pages may call."""

from __future__ import annotations

import pytest
from starlette.types import Scope

from api.origins import Origins
from shared.errors import ConfigurationError
from shared.settings import load_settings


def scope(origin: str | None, *, scheme: str = "ws", host: str = "gate.example", forwarded: str = "") -> Scope:
    named = {"host": host, "origin": origin, "x-forwarded-host": forwarded}
    headers = [(name.encode(), value.encode()) for name, value in named.items() if value]
    return {"type": "websocket", "scheme": scheme, "headers": headers}


@pytest.mark.parametrize("allowed", [(), ("https://app.example",)], ids=["no origin is set", "another origin is set"])
@pytest.mark.parametrize(
    ("origin", "scheme", "admitted"),
    [
        ("http://gate.example", "ws", True),
        ("http://gate.example", "http", True),
        ("http://GATE.example", "http", True),
        ("https://gate.example", "wss", True),
        ("https://gate.example", "http", True),  # what is in front ends TLS
        ("http://gate.example", "https", False),
        ("http://gate.example:8080", "http", False),
        ("http://evil.example", "http", False),
        ("null", "http", False),
        ("", "http", False),
    ],
)
def test_the_own_origin_may_call_whichever_others_are_set(
    allowed: tuple[str, ...], origin: str, scheme: str, admitted: bool
) -> None:
    assert Origins(load_settings(cors_origins=allowed)).admits(scope(origin, scheme=scheme)) is admitted


def test_those_that_are_set_may_call_and_a_star_is_everybody() -> None:
    assert Origins(load_settings(cors_origins=("https://app.example",))).admits(scope("https://app.example"))
    assert Origins(load_settings(cors_origins=("*",))).admits(scope("https://whoever.example"))
    assert not Origins(load_settings(cors_origins=("*",))).admits(scope(None))


def test_a_proxy_says_by_which_name_it_is_known_if_it_is_trusted() -> None:
    seen = scope("https://app.example", host="10.0.0.7:8000", forwarded="app.example, inner")
    assert not Origins(load_settings()).admits(seen)
    assert Origins(load_settings(trusted_proxies=("10.0.0.1",))).admits(seen)


@pytest.mark.parametrize("origin", ["https://app.example/", "app.example", "https://App.example", "https://", ""])
def test_what_no_browser_would_send_is_refused_by_its_name(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="BACKFLEET_CORS_ORIGINS"):
        load_settings(cors_origins=(origin,))
