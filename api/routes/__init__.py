"""The HTTP edge, a module for each noun: each route reads a request, calls one command, writes the answer."""

from __future__ import annotations

from fastapi import FastAPI

from api.pages import Pages
from api.routes import (
    agents,
    backtests,
    controls,
    data,
    decisions,
    docs,
    fleet,
    llm_keys,
    operations,
    results,
    sessions,
    strategies,
    users,
)
from api.routes.description import describe
from api.routes.pages import page_routes


def include_routes(app: FastAPI, version: str) -> None:
    """Adds every route to the application, and what /docs says of them."""
    of_backtests = (decisions, results, backtests, controls, strategies, data, fleet)
    for noun in (*of_backtests, agents, llm_keys, users, sessions, operations, docs):
        app.include_router(noun.router)
    app.include_router(users.auth_router)
    app.include_router(sessions.runs_router)
    app.include_router(page_routes(Pages()))
    describe(app, version)
