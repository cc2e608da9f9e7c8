import base64
import hmac
import json
import math
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api.auth import LEEWAY_S, Authenticator, Identity, mint_token
from shared.errors import ConfigurationError, InvalidRequest, Unauthenticated, Unavailable
from shared.settings import Settings, load_settings

SECRET = "kXq5v0Zc8mWn2RtY7uHs4LdPf9Jg1Ea6Bw3TiOyQ"
OTHER_SECRET = SECRET[::-1]


def settings(**changes: Any) -> Settings:
    return load_settings(**({"jwt_secret": SECRET} | changes))


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": "ann", "exp": int(time.time()) + 600} | changes


def signed(changes: dict[str, Any] | None = None, *, secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims(**(changes or {})), secret, algorithm=algorithm)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}."


async def test_the_user_is_the_sub_of_a_valid_token() -> None:
    identity = await Authenticator(settings()).identify_header(f"Bearer {signed()}")
    assert identity.user_id == "ann"


REFUSED = {
    "of another secret": (lambda: signed(secret=OTHER_SECRET), "signature"),
    "of another algorithm": (lambda: signed(secret=SECRET * 2, algorithm="HS512"), "algorithm"),
    "without a signature": (unsigned, "algorithm"),
    "that has expired": (lambda: signed({"exp": int(time.time()) - LEEWAY_S - 5}), "expired"),
    "without an end": (lambda: jwt.encode({"sub": "ann"}, SECRET), "exp"),
    "without a user": (lambda: jwt.encode({"exp": int(time.time()) + 60}, SECRET), "sub"),
    "with an empty user": (lambda: signed({"sub": ""}), "sub"),
    "with a user that is too long": (lambda: signed({"sub": "u" * 257}), "sub"),
    "with a control character in the user": (lambda: signed({"sub": "a\nb"}), "sub"),
    "with half a surrogate in the user": (lambda: signed({"sub": "\ud800"}), "sub"),
    "with a number as the user": (lambda: signed({"sub": 7}), "not valid"),
    "with an end that is no number": (lambda: signed({"exp": "tomorrow"}), "not valid"),
    "that is not valid yet": (lambda: signed({"nbf": int(time.time()) + 600}), "not valid yet"),
    "that is not a token": (lambda: "x.y.z", "not valid"),
    "with a letter that is not ASCII": (lambda: "é" * 20, "not valid"),
    "that is huge": (lambda: "a" * 10_000, "longer"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_is_refused(name: str) -> None:
    make, said = REFUSED[name]
    with pytest.raises(Unauthenticated) as refusal:
        await Authenticator(settings()).identify(make())
    assert said in refusal.value.message


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer", "Bearer  ", "ey.a.b"])
async def test_a_header_without_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await Authenticator(settings()).identify_header(header)


async def test_audience_and_issuer_are_held_to_the_settings() -> None:
    authenticator = Authenticator(settings(jwt_audience="backfleet", jwt_issuer="https://id.example"))
    for wrong in ({}, {"aud": "backfleet"}, {"aud": "other", "iss": "https://id.example"}):
        with pytest.raises(Unauthenticated):
            await authenticator.identify(signed(wrong))
    right = signed({"aud": "backfleet", "iss": "https://id.example"})
    assert (await authenticator.identify(right)).user_id == "ann"


async def test_a_remembered_token_is_refused_once_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = Authenticator(settings())
    token = signed()
    await authenticator.identify(token)
    monkeypatch.setattr(authenticator, "_secret", OTHER_SECRET)
    await authenticator.identify(token)  # from memory
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 600 + LEEWAY_S + 1)
    with pytest.raises(Unauthenticated):
        await authenticator.identify(token)


def test_a_minted_token_names_its_user_and_ends() -> None:
    token = mint_token(settings(jwt_audience="backfleet"), "ann", 60)
    found = jwt.decode(token, SECRET, algorithms=["HS256"], audience="backfleet")
    assert found["sub"] == "ann"
    assert 55 <= found["exp"] - time.time() <= 60


def test_no_token_is_minted_in_production() -> None:
    with pytest.raises(ConfigurationError, match="BACKFLEET_MODE"):
        mint_token(settings(mode="production"), "ann", 60)


@pytest.mark.parametrize(("user", "ttl_s"), [("", 60), ("a\x00", 60), ("ann", 0), ("ann", 10**12)])
def test_no_token_is_minted_for_a_wrong_user_or_time(user: str, ttl_s: int) -> None:
    with pytest.raises(InvalidRequest):
        mint_token(settings(), user, ttl_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"jwt_secret": None},
        {"jwt_secret": "short"},
        {"mode": "production", "jwt_secret": "secret" * 8},
        {"mode": "production", "jwt_secret": None, "jwt_jwks_url": "http://id.example/jwks"},
    ],
)
def test_a_gateway_without_a_proper_secret_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="BACKFLEET_JWT"):
        Authenticator(settings(**changes))


class Issuer:
    """A JWKS document on a free port, and how often it was asked for."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.failing = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = json.dumps({"keys": issuer.keys}).encode()
                self.send_response(500 if issuer.failing else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def settings(self) -> Settings:
        url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks"
        return load_settings(jwt_jwks_url=url, jwt_secret=None)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    one = Issuer()
    yield one
    one.close()


KEYS: dict[str, tuple[Any, Any]] = {
    "RS256": (rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm),
}


def public(algorithm: str, key_id: str) -> dict[str, Any]:
    private, kind = KEYS[algorithm]
    return kind.to_jwk(private.public_key(), as_dict=True) | {"kid": key_id, "alg": algorithm, "use": "sig"}


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_key_set_verifies_its_algorithms_and_is_fetched_once(issuer: Issuer, algorithm: str) -> None:
    issuer.keys = [public(algorithm, "k1")]
    authenticator = Authenticator(issuer.settings)
    for user in ("ann", "bob"):
        token = jwt.encode(claims(sub=user), KEYS[algorithm][0], algorithm=algorithm, headers={"kid": "k1"})
        assert (await authenticator.identify(token)).user_id == user
    assert issuer.asked == 1


async def test_the_public_key_as_an_hs256_secret_is_refused(issuer: Issuer) -> None:
    issuer.keys = [public("RS256", "k1")]
    pem = KEYS["RS256"][0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing_input = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{part(claims())}"
    signature = base64.urlsafe_b64encode(hmac.digest(pem, signing_input.encode(), "sha256")).decode().rstrip("=")
    token = f"{signing_input}.{signature}"
    with pytest.raises(Unauthenticated):
        await Authenticator(issuer.settings).identify(token)


async def test_a_symmetric_key_in_the_key_set_is_not_used(issuer: Issuer) -> None:
    raw = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
    issuer.keys = [{"kty": "oct", "k": raw, "alg": "HS256", "kid": "k1"}, public("ES256", "k2")]
    token = jwt.encode(claims(), SECRET, algorithm="HS256", headers={"kid": "k1"})
    with pytest.raises(Unauthenticated):
        await Authenticator(issuer.settings).identify(token)


async def test_made_up_key_ids_do_not_become_requests_to_the_issuer(issuer: Issuer) -> None:
    issuer.keys = [public("ES256", "k1")]
    authenticator = Authenticator(issuer.settings)
    for number in range(5):
        token = jwt.encode(claims(), KEYS["ES256"][0], algorithm="ES256", headers={"kid": f"made-up-{number}"})
        with pytest.raises(Unauthenticated):
            await authenticator.identify(token)
    assert issuer.asked == 1


async def test_an_issuer_that_does_not_answer_is_not_the_callers_fault(issuer: Issuer) -> None:
    issuer.failing = True
    token = jwt.encode(claims(), KEYS["ES256"][0], algorithm="ES256", headers={"kid": "k1"})
    with pytest.raises(Unavailable):
        await Authenticator(issuer.settings).identify(token)


@pytest.mark.parametrize("end_s", [2_000_000_000, 2_000_000_000.5, 10**30])
async def test_an_identity_ends_with_its_token(end_s: float) -> None:
    identity = await Authenticator(settings()).identify(signed({"exp": end_s}))
    assert identity.expires_at is not None
    assert identity.expires_at.tzinfo is UTC
    assert identity.expires_at_s == min(end_s, datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp())
    assert Identity("ann").expires_at_s == math.inf
