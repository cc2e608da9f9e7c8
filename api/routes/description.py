"""The OpenAPI document behind /docs: all that the routes do not say by themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.account_requests import (
    AddUserRequest,
    ChangePasswordRequest,
    KeyRequest,
    LoginRequest,
    RefreshRequest,
    RolesRequest,
    SetPasswordRequest,
)
from api.llm_requests import AGENT_EXAMPLE, PARAMETER_OF, AgentRequest, ProviderKeyRequest
from api.market_data.fetches import FetchRequest
from api.routes.requests import (
    AGENTS_ROOT,
    AUTH_ROOT,
    LLM_ROOT,
    ROOT,
    RUNS_ROOT,
    SCHEMAS,
    SESSIONS_ROOT,
    USERS_ROOT,
)
from api.session_requests import CREATE_EXAMPLE, RUN_EXAMPLE, CreateSession, RunRequest
from shared.contracts import ValidateRequest
from shared.controls import PlainCommand, SeekCommand, SpeedCommand, StepCommand, StopCommand
from shared.request import AI_TRADER, EXAMPLE_REQUEST, BacktestRequest
from shared.strategies import catalogue, find

_BODIES: tuple[type[BaseModel], ...] = (
    *(BacktestRequest, ValidateRequest, LoginRequest, RefreshRequest, AddUserRequest, SetPasswordRequest),
    *(ChangePasswordRequest, RolesRequest, KeyRequest),
    *(PlainCommand, StopCommand, SpeedCommand, StepCommand, SeekCommand),
    *(CreateSession, RunRequest, AgentRequest, ProviderKeyRequest, FetchRequest),
)
# By the beginning of the path; the first that fits.
_TAGS: tuple[tuple[str, str, str], ...] = (
    (f"{ROOT}/backtest", "backtests", "Submit, look at, steer, delete; and what came of them."),
    (f"{ROOT}/strategies", "strategies", "What can be run."),
    (f"{ROOT}/data", "market data", "What it can be run on."),
    (f"{ROOT}/fleet", "fleet", "Who runs it, and what waits."),
    (AGENTS_ROOT, "agents", "Traders that are language models."),
    (LLM_ROOT, "models", "One's keys for providers of language models."),
    (AUTH_ROOT, "login", "Tokens for a name and a password."),
    (USERS_ROOT, "users", "Oneself, and for admins everybody."),
    (SESSIONS_ROOT, "sessions", "Backtests for older clients: created, then started."),
    (RUNS_ROOT, "older runs", "Backtests for older clients, in snake_case."),
    ("/", "operations", "For whoever operates the gateway."),
)
_ABOUT = (
    "Backtests as a service. Names are camelCase, times ISO-8601 UTC. Refusals are problem documents (RFC 9457) with "
    "the path of each wrong field. Watch runs live over Socket.IO at `/socket.io/`."
)
_EXAMPLES: dict[str, dict[str, Any]] = {
    "BacktestRequest": EXAMPLE_REQUEST,
    "PlainCommand": {"commandId": "pause-1"},
    "StopCommand": {"closeOpenTrades": True},
    "SpeedCommand": {"speed": 50},
    "StepCommand": {"bars": 10},
    "SeekCommand": {"bar": 500},
    "CreateSession": CREATE_EXAMPLE,
    "RunRequest": RUN_EXAMPLE,
    "AgentRequest": AGENT_EXAMPLE,
    "FetchRequest": {"exchange": "binance", "symbol": "BTC/USDT", "interval": "1h", "startDate": "2024-01-01"},
    "ProviderKeyRequest": {"key": "sk-or-v1-0123456789abcdef"},
    "ValidateRequest": {"strategy": "sma_crossover", "params": {"fast": 20, "slow": 100}},
    "LoginRequest": {"name": "ann", "password": "four random words here"},
    "RefreshRequest": {"refreshToken": "bfr_…"},
    "AddUserRequest": {"name": "ann", "password": "four random words here", "roles": ["user"]},
    "SetPasswordRequest": {"password": "four random words here"},
    "ChangePasswordRequest": {"password": "the one until now", "newPassword": "four random words here"},
    "RolesRequest": {"roles": ["user", "admin"]},
    "KeyRequest": {"name": "nightly runs", "scopes": ["read", "write"], "expiresInDays": 90},
}


def describe(app: FastAPI, version: str) -> None:
    """Completes /docs with the bodies that handlers read by themselves, and with how to sign in."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, version)
        return app.openapi_schema

    app.openapi = document


def _document(app: FastAPI, version: str) -> dict[str, Any]:
    schema = get_openapi(title="backfleet", version=version, description=_ABOUT, routes=app.routes)
    schema["tags"] = [{"name": name, "description": text} for _, name, text in _TAGS]
    _, bodies = models_json_schema([(body, "validation") for body in _BODIES], by_alias=True, ref_template=SCHEMAS)
    components = schema.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemas.update(bodies["$defs"])
    for name, example in _EXAMPLES.items():
        schemas[name]["examples"] = [example]
    _name_strategies(schemas)
    _bound_agents(schemas["AgentRequest"]["properties"])
    schemas["Result"]["description"] = "What a backtest came to."
    schemas["JsonValue"]["description"] = "Any JSON."
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which is never answered
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT, or a key `bfk_…`",
            "description": "Of a login, of an issuer, or a key.",
        }
    }
    for path, operations in schema["paths"].items():
        tag = next(name for root, name, _ in _TAGS if path.startswith(root))
        for operation in operations.values():
            operation["tags"] = [tag]
            operation["responses"].pop("422", None)  # it is one of `4XX`
            if path.startswith((ROOT, USERS_ROOT, SESSIONS_ROOT, RUNS_ROOT, AGENTS_ROOT, LLM_ROOT)):
                operation["security"] = [{"token": []}]
    return schema


def _name_strategies(schemas: dict[str, Any]) -> None:
    """Which strategies there are, and what each takes: as much a part of the form of a request as its other fields."""
    parameters: dict[str, Any] = {}
    for one in catalogue():
        schemas[f"ParametersOf_{one.id}"] = one.parameters_schema | {"description": one.description}
        ref = {"$ref": SCHEMAS.format(model=f"ParametersOf_{one.id}")}
        parameters |= {name: ref | {"description": f"Parameters of {one.name}."} for name in one.names}
    names = {"type": "string", "enum": sorted(parameters)}
    for body in ("BacktestRequest", "CreateSession"):
        properties = schemas[body]["properties"]
        properties["strategies"] |= {"items": names, "uniqueItems": True}
        properties["strategyParams"] |= {"properties": parameters, "additionalProperties": False}
    schemas["BacktestRequest"]["properties"]["weights"]["propertyNames"] = {"enum": sorted(parameters)}
    schemas["RunRequest"]["properties"]["strategy_name"] |= names


def _bound_agents(fields: dict[str, Any]) -> None:
    """An agent's fields are parameters of its strategy, and bounded as those are."""
    trader: dict[str, Any] = dict(find(AI_TRADER).parameters_schema["properties"])
    for field, name in PARAMETER_OF.items():
        bounds = {
            word: value for word, value in trader.pop(name).items() if word not in ("title", "description", "default")
        }
        left_out = "default" in fields[field]
        fields[field] = {
            word: value for word, value in fields[field].items() if word in ("title", "description", "examples")
        }
        fields[field] |= {"anyOf": [bounds, {"type": "null"}]} if left_out else bounds
    fields["parameters"]["anyOf"][0] |= {"properties": trader, "additionalProperties": False}
