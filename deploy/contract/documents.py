"""The files of `docs/contract`, to the byte."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import FastAPI

from api.problems import install_problems
from api.routes import include_routes
from deploy.contract.asyncapi import asyncapi
from deploy.contract.messages import models
from deploy.contract.schemas import schema_of

ROOT = Path(__file__).parents[2] / "docs" / "contract"
# Of the contract, which a release of the package need not change.
VERSION = "1.0.0"


def documents() -> dict[str, str]:
    """Each file's text by its path in the folder."""
    schemas = {f"schemas/{name}.json": schema_of(model) for name, model in models().items()}
    found = {"openapi.json": openapi(), "asyncapi.json": asyncapi(), **schemas}
    return {path: _text(document) for path, document in sorted(found.items())}


def openapi() -> dict[str, object]:
    """What a gateway serves as `/openapi.json`, but for the version."""
    app = FastAPI(title="backfleet", docs_url=None, redoc_url=None)
    include_routes(app, VERSION)
    install_problems(app)
    return app.openapi()


def write(made: dict[str, str], root: Path = ROOT) -> list[str]:
    """Leaves exactly these documents in the folder: the paths of those that are new, changed or removed."""
    stale = [path for path in _kept(root) if path not in made]
    changed = [path for path, text in made.items() if not (root / path).exists() or (root / path).read_text() != text]
    (root / "schemas").mkdir(parents=True, exist_ok=True)
    for path in changed:
        (root / path).write_text(made[path], encoding="utf-8", newline="\n")
    for path in stale:
        (root / path).unlink()
    return sorted([*changed, *stale])


def kept(root: Path = ROOT) -> dict[str, str]:
    """The documents there are, by path."""
    return {path: (root / path).read_text(encoding="utf-8") for path in _kept(root)}


def _kept(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.json"))


def _text(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
