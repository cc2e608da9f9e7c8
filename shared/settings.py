"""The only reader of the environment.

Every setting is an environment variable `BACKFLEET_<NAME>`; units stand last in the name. In production mode nothing
secret has a default: a missing or weak secret is a refusal to start.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigurationError, FieldError
from shared.wording import worded

MINIMUM_SECRET_BYTES = 32
PREFIX = "BACKFLEET_"
_NUMBA_CACHE = "NUMBA_CACHE_DIR"
# One that is written otherwise would match nothing, and nobody would hear why.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\sA-Z]+")
Dollars = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_WEAK_SECRETS = ("secret", "password", "changeme", "change-me", "backfleet", "development", "example")


class Settings(BaseSettings):
    """All settings of gateway, worker and embedded stack."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    mode: Literal["development", "production"] = Field(
        "development", description="`production` refuses weak secrets and hides nothing behind defaults."
    )
    mongodb_uri: SecretStr = Field(
        SecretStr("mongodb://127.0.0.1:27017"), description="MongoDB connection string; may carry a password."
    )
    mongodb_database: str = Field("backfleet", pattern=r"^[A-Za-z0-9_-]{1,38}$", description="Database name.")
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey URL; may carry a password."
    )
    store_timeout_s: float = Field(5.0, gt=0, le=120, description="Longest wait for one MongoDB operation.")
    bus_timeout_s: float = Field(5.0, gt=0, le=120, description="Longest wait for one Redis operation.")

    host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the gateway listens on; 0 takes a free one.")
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret, at least 32 bytes.")
    jwt_jwks_url: str | None = Field(None, description="URL of a JWKS document; used instead of the secret.")
    jwt_audience: str | None = Field(None, description="Audience a token must name, if set.")
    jwt_issuer: str | None = Field(None, description="Issuer a token must name, if set.")
    access_ttl_s: int = Field(900, ge=10, le=86_400, description="How long an access token of a login is good for.")
    refresh_ttl_s: int = Field(
        30 * 86_400, ge=60, le=366 * 86_400, description="How long after a login its refresh tokens are good for."
    )
    password_memory_kib: int = Field(
        65_536, ge=32, le=4_194_304, description="Memory of one argon2id; `production` refuses less than 19456."
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses of load balancers whose X-Forwarded-For, -Proto and -Host are believed (JSON list)."
    )
    shared_data_by: Literal["everybody", "admins"] | None = Field(
        None, description="Who may import market data over HTTP. By mode: `everybody`, in production `admins`."
    )
    priority_max: int | None = Field(
        None, ge=0, le=9, description="Highest priority of users who are no admins. By mode: 9, in production 5."
    )
    cors_origins: tuple[str, ...] = Field((), description="Origins that browsers may call from (JSON list).")
    metrics_token: SecretStr | None = Field(
        None, min_length=16, description="Bearer token that opens `/metrics`, at least 16 characters."
    )
    request_max_bytes: int = Field(1_000_000, ge=1_000, description="Largest HTTP body and socket message.")
    upload_max_bytes: int = Field(256 * 1024 * 1024, ge=1_000, description="Largest upload of market data.")
    sign_in_timeout_s: float = Field(
        10.0, gt=0, le=300, description="After so long a socket that has not signed in is closed."
    )
    sockets_per_address_max: int = Field(5_000, ge=1, description="Sockets that one address may have open at once.")
    anonymous_sockets_per_address_max: int = Field(
        500, ge=1, description="Sockets of one address that may be open without having signed in."
    )
    pending_max: int = Field(10_000, ge=1, description="Pending or paused backtests one user may have at once.")
    session_idle_s: float = Field(
        3600.0, gt=0, le=30 * 86_400, description="After so long a session that nobody has started is removed."
    )
    mcp_sessions_max: int = Field(1_000, ge=1, le=100_000, description="Sessions of MCP that a gateway has open.")
    mcp_session_idle_s: float = Field(
        1_800.0, gt=0, le=86_400, description="After so long without a request or a stream one of them is closed."
    )

    key_secrets: SecretStr | None = Field(
        None, description="Secrets that users' provider keys are sealed with: JSON list or commas, newest first."
    )
    llm_prices: dict[str, tuple[Dollars, Dollars]] = Field(
        {}, description="JSON: of a model, US dollars per million tokens sent and received."
    )
    llm_ask_usd_max: float = Field(
        0.05, ge=0, le=1_000, description="Reserved for an ask of a model that `LLM_PRICES` does not name."
    )
    llm_user_day_usd: float = Field(
        10.0, ge=0, le=1e6, description="US dollars that one user's backtests may spend on models in a day (UTC)."
    )
    llm_private_urls: bool = Field(
        False, description="Whether users' model servers may have private addresses, and speak plain http."
    )

    worker_slots: int = Field(
        default_factory=lambda: max(1, os.cpu_count() or 1), ge=1, le=256, description="Engine processes per worker."
    )
    waiting_runs_max: int = Field(
        64, ge=0, le=10_000, description="Runs of a worker that may wait for a model without keeping a slot."
    )
    llm_timeout_s: float = Field(60.0, gt=0.01, le=3600, description="Longest wait for an answer of a model.")
    llm_asks_max: int = Field(64, ge=1, le=10_000, description="Models that a worker asks at once.")
    lease_ttl_s: float = Field(30.0, gt=0.2, le=3600, description="How long a claim holds without renewal.")
    lease_renew_s: float = Field(5.0, gt=0.05, le=600, description="How often a lease is renewed.")
    sweep_interval_s: float = Field(2.0, gt=0.05, le=60, description="How often an idle worker looks without a bell.")
    failures_max: int = Field(3, ge=1, le=100, description="Crashes after which a backtest fails for good.")
    stall_limit_s: float = Field(
        60.0, gt=0.1, le=3600, description="After so long without sign or computing an engine process is killed."
    )
    run_limit_s: float = Field(3_600.0, gt=0.1, le=604_800, description="How long one run may compute.")
    drain_timeout_s: float = Field(20.0, ge=0, le=3600, description="How long SIGTERM waits for runs to end.")
    chunk_bars: int = Field(100_000, ge=1, description="Most bars an engine advances in one step.")
    recycle_after_runs: int = Field(1_000, ge=1, description="Backtests after which an engine process is replaced.")
    recycle_above_mib: int = Field(2_048, ge=64, description="Memory above which an engine process is replaced.")
    progress_interval_s: float = Field(0.25, ge=0, le=60, description="Least time between two progress messages.")

    position_interval_s: float = Field(
        30.0, ge=0.05, le=3600, description="How often a run that goes on stores its position, to be taken up there."
    )
    pause_hold_s: float = Field(10.0, ge=0, le=3600, description="How long a paused run keeps its slot.")

    health_file: Path | None = Field(None, description="File a healthy worker touches; `python -m worker --check`.")

    cache_dir: Path = Field(
        Path.home() / ".cache" / "backfleet", description="Disk cache of market data chunks and compiled kernels."
    )
    cache_max_bytes: int = Field(10_000_000_000, ge=1_000_000, description="Most bytes the chunk cache keeps.")
    event_log_max: int = Field(2_000, ge=10, description="Events kept per backtest for replay.")
    event_log_ttl_s: int = Field(86_400, ge=60, description="How long a backtest's events are kept after the last.")

    url: str | None = Field(None, description="Gateway that the command line speaks to; else the stack that runs here.")
    token: SecretStr | None = Field(None, description="Token or API key of the command line.")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level logged.")
    log_format: Literal["text", "json"] = Field("text", description="`json` writes one object per line.")

    stack_dir: Path = Field(Path(".backfleet"), description="Where the embedded stack keeps its data and logs.")
    redis_server: Path | None = Field(None, description="A redis-server or valkey-server binary for the stack.")

    @field_validator("jwt_secret", "metrics_token", "token", "key_secrets")
    @classmethod
    def _empty_secret_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None

    @field_validator("key_secrets")
    @classmethod
    def _can_seal(cls, value: SecretStr | None) -> SecretStr | None:
        for number, one in enumerate(_listed(value), 1):
            try:
                fits = len(base64.b64decode(one, altchars=b"-_", validate=True)) == MINIMUM_SECRET_BYTES
            except ValueError:
                fits = False
            if not fits:
                raise ValueError(
                    f"secret {number} is not {MINIMUM_SECRET_BYTES} bytes in URL-safe base64; make one with "
                    "`openssl rand -base64 32 | tr +/ -_`"
                )
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_as_browsers_write_them(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin not in ("*", "null") and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin[:80]!r} is no origin: write scheme://host or scheme://host:port, in lower case and "
                    "without a slash at the end, or * for all"
                )
        return value

    @model_validator(mode="after")
    def _lease_outlives_renewal(self) -> Self:
        if self.lease_renew_s * 3 > self.lease_ttl_s:
            raise ValueError(
                f"lease_renew_s is {self.lease_renew_s:g} and lease_ttl_s {self.lease_ttl_s:g}: "
                "a lease must outlive three renewals; lower BACKFLEET_LEASE_RENEW_S"
            )
        return self

    @cached_property
    def production(self) -> bool:
        return self.mode == "production"

    @property
    def data_is_everybodys(self) -> bool:
        """Whether who is no admin may change the market data that all share."""
        return (self.shared_data_by or ("admins" if self.production else "everybody")) == "everybody"

    @property
    def users_priority_max(self) -> int:
        if self.priority_max is not None:
            return self.priority_max
        return 5 if self.production else 9

    @property
    def sealing_secrets(self) -> tuple[str, ...]:
        """What provider keys are sealed with, newest first: each 32 bytes in URL-safe base64. Empty where unset."""
        return _listed(self.key_secrets)

    def require_gateway_secrets(self) -> None:
        """Refuses a gateway that could not tell who is asking. Raises `ConfigurationError` naming the variable."""
        if self.jwt_jwks_url:
            if self.production and not self.jwt_jwks_url.startswith("https://"):
                raise ConfigurationError("BACKFLEET_JWT_JWKS_URL must start with https:// in production mode")
            return
        name = f"{PREFIX}JWT_SECRET"
        if self.jwt_secret is None:
            raise ConfigurationError(
                f"{name} is not set. Set it to at least {MINIMUM_SECRET_BYTES} random bytes "
                "(for example `openssl rand -base64 48`), or set BACKFLEET_JWT_JWKS_URL."
            )
        secret = self.jwt_secret.get_secret_value()
        if len(secret.encode()) < MINIMUM_SECRET_BYTES:
            raise ConfigurationError(
                f"{name} is {len(secret.encode())} bytes long; it needs at least {MINIMUM_SECRET_BYTES}. "
                "Make one with `openssl rand -base64 48`."
            )
        lowered = secret.lower()
        weak = len(set(secret)) < 10 or any(lowered.count(word) * len(word) * 2 > len(secret) for word in _WEAK_SECRETS)
        if self.production and weak:
            raise ConfigurationError(f"{name} is guessable. Make one with `openssl rand -base64 48`.")


def _listed(secrets: SecretStr | None) -> tuple[str, ...]:
    """Of a JSON list of texts, or of texts with commas between them."""
    text = secrets.get_secret_value().strip() if secrets else ""
    if not text.startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        found = json.loads(text)
    except ValueError:
        raise ValueError("begins as a JSON list and is none; write commas between the secrets") from None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in cast("list[object]", found)):
        raise ValueError("must be a JSON list of texts")
    return tuple(cast("list[str]", found))


def load_settings(**overrides: object) -> Settings:
    """Reads the environment once. Raises `ConfigurationError` naming every variable that is wrong, never its value."""
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        found = [
            FieldError(PREFIX + "_".join(str(part) for part in item["loc"]).upper() or PREFIX + "*", worded(item))
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("; ".join(f"{one.field}: {one.message}" for one in found), found) from None


def kernel_cache_dir(settings: Settings, digest: str) -> Path:
    """Where numba keeps what it compiled from the source that `digest` names; below NUMBA_CACHE_DIR where that is set.

    numba's own cache looks at the file of a kernel only, not at those it was inlined from.
    """
    return Path(os.environ.get(_NUMBA_CACHE) or settings.cache_dir / "kernels") / digest


def keep_kernels_in(directory: Path) -> None:
    """Has this process's numba keep its kernels there. Call it before numba is imported; later it does nothing."""
    if "numba" not in sys.modules:
        os.environ[_NUMBA_CACHE] = str(directory)


def keep_strategy_kernels(settings: Settings) -> None:
    """The same for a process that computes indicators alone, which is no worker's: none of their kernels is made of
    several files. Where NUMBA_CACHE_DIR is set, it stays."""
    if _NUMBA_CACHE not in os.environ:
        keep_kernels_in(settings.cache_dir / "kernels" / "strategies")


def environment_for_child(settings: Settings, kernels: Path | None = None) -> dict[str, str]:
    """Our environment plus what a child process of ours must share with us: its settings, spelled as variables.

    `kernels` is where its numba keeps what it compiles.
    """
    child = dict(os.environ)
    if kernels is not None:
        child[_NUMBA_CACHE] = str(kernels)
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        variable = PREFIX + name.upper()
        if value is None:
            child.pop(variable, None)  # Set to nothing here, whatever our own environment says.
            continue
        raw = value.get_secret_value() if isinstance(value, SecretStr) else value
        child[variable] = json.dumps(raw) if isinstance(raw, tuple | dict) else str(raw)
    return child
