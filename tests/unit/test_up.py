"""What `make up` says of the dashboard."""

from __future__ import annotations

from collections.abc import Callable

import jwt
import pytest

from deploy.stack import Stack
from deploy.up import SIGN_IN_TTL_S, sign_in_lines
from shared.settings import Settings
from tests.conftest import JWT_SECRET

URL = "http://127.0.0.1:8000"


def lines_of(settings: Settings) -> str:
    stack = Stack(settings)
    stack.api_urls.append(URL)
    return sign_in_lines(stack)


def test_in_development_a_link_signs_in_for_a_while(make_settings: Callable[..., Settings]) -> None:
    said = lines_of(make_settings())
    page, _, token = said.split()[-1].partition("#/sign-in?token=")
    claims = jwt.decode(token, JWT_SECRET, algorithms=["HS256"])
    assert (page, claims["sub"], claims["exp"] - claims["iat"]) == (f"{URL}/", "dev", SIGN_IN_TTL_S)
    assert "'dev'" in said
    assert "12 hours" in said


@pytest.mark.parametrize("changes", [{"mode": "production"}, {"jwt_jwks_url": "https://issuer.example/keys"}])
def test_elsewhere_no_token_is_made(make_settings: Callable[..., Settings], changes: dict[str, str]) -> None:
    said = lines_of(make_settings(**changes))
    assert said.split()[-1] == f"{URL}/"
    assert "token" not in said
