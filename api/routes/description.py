"""The OpenAPI document behind /docs."""

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
from api.routes.requests import ROOT, SCHEMAS, USERS_ROOT
from shared.contracts import ValidateRequest
from shared.request import BacktestRequest

_BODIES: tuple[type[BaseModel], ...] = (
    *(BacktestRequest, ValidateRequest, LoginRequest, RefreshRequest, AddUserRequest, SetPasswordRequest),
    *(ChangePasswordRequest, RolesRequest, KeyRequest),
)


def describe(app: FastAPI, version: str) -> None:
    """Completes /docs with the bodies that handlers read by themselves, and with how to sign in."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title="backfleet", version=version, routes=app.routes)
            _, bodies = models_json_schema(
                [(body, "validation") for body in _BODIES], by_alias=True, ref_template=SCHEMAS
            )
            components = schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(bodies["$defs"])
            components["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT, or a key `bfk_…`"}
            }
            for path, operations_of_path in schema["paths"].items():
                if path.startswith((ROOT, USERS_ROOT)):
                    for operation in operations_of_path.values():
                        operation["security"] = [{"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document
