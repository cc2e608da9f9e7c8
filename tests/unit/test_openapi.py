"""The OpenAPI document says all there is to say, and the page that shows it needs nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI

from api.problems import install_problems
from api.routes import include_routes


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    include_routes(app, "1")
    install_problems(app)
    return app


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture
def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        yield from ((f"{method.upper()} {path}", operation) for method, operation in methods.items())


def undescribed(node: Any, at: str = "") -> Iterator[str]:
    """Every property and every schema by name of which nothing is said."""
    if isinstance(node, list):
        for number, one in enumerate(node):
            yield from undescribed(one, f"{at}/{number}")
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if name in ("example", "examples", "default", "enum"):
            continue
        if name in ("properties", "schemas") and isinstance(value, dict):
            yield from (f"{at}/{name}/{one}" for one, schema in value.items() if not schema.get("description"))
        yield from undescribed(value, f"{at}/{name}")


def dangling(document: dict[str, Any]) -> Iterator[str]:
    for ref in set(re.findall(r"\'\$ref\': \'([^\']+)\'", str(document))):
        found: Any = document
        for step in ref.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        if found is None:
            yield ref


def test_every_property_is_described(document: dict[str, Any]) -> None:
    assert list(undescribed(document)) == []
    assert list(dangling(document)) == []


def test_an_undescribed_property_is_found() -> None:
    schema = {"schemas": {"A": {"description": "a", "properties": {"x": {"type": "string"}}}}}
    assert list(undescribed(schema)) == ["/schemas/A/properties/x"]


def test_every_operation_and_parameter_is_described_and_has_its_place(document: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for name, operation in operations_of(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert [tags[tag] for tag in operation["tags"]], name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])
        assert {code for code in operation["responses"] if code.startswith("2")}, name


def test_every_body_has_an_example_that_is_of_its_form(document: dict[str, Any]) -> None:
    bodies = 0
    for name, operation in operations_of(document):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            continue
        schema = content["application/json"]["schema"] | {"components": document["components"]}
        [example] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"]
        jsonschema_rs.validate(schema, example)
        bodies += 1
        assert example, name
    assert bodies >= 10


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/algo/backtest", "GET, POST"),
        ("/api/algo/backtest/bt_1", "GET, DELETE"),
        ("/api/algo/backtest/estimate", "POST"),
        ("/api/algo/backtest/bt_1/decisions", "GET"),
        ("/api/agents/ag_1", "GET, PUT, DELETE"),
        ("/api/backtest/create", "POST"),
        ("/api/backtest/bt_1", "GET, DELETE"),
        ("/api/users/me/keys", "GET, POST"),
        ("/api/users", "GET, POST"),
        ("/healthz", "GET"),
    ],
)
async def test_a_method_that_a_path_does_not_know_is_answered_with_those_it_does(
    client: httpx.AsyncClient, path: str, methods: str
) -> None:
    for method in ("TRACE", "OPTIONS", "BREW"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert methods in answer.json()["detail"]


async def test_docs_are_served_from_here_alone(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert [policy[f"{what}-src"] for what in ("script", "style", "connect")] == ["'self'"] * 3
    assert "//" not in page.text
    assert not re.search(r"<script(?! src=)|\son[a-z]+=", page.text)
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(wanted) == 4
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    for path in [one for one in wanted if not one.startswith("data:")]:
        answer = await client.get(f"/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, kinds[path.rpartition(".")[2]])
        assert answer.headers["x-content-type-options"] == "nosniff"
        if "etag" in answer.headers:
            again = await client.get(f"/{path}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
    assert (await client.get("/openapi.json")).json()["openapi"] == "3.1.0"
