"""JSON Schemas of the messages, in draft 7, which AsyncAPI documents are made of."""

from __future__ import annotations

from functools import cache
from inspect import getdoc
from typing import Any, cast

from pydantic import BaseModel

from deploy.contract.examples import EXAMPLES, example_of

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The schema of a message, with its name, what it is, and an example."""
    made = model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    schema = cast("Schema", _in_draft_7(made))
    example = EXAMPLES.get(model.__name__)
    return schema | {
        "$schema": DRAFT,
        "$id": f"urn:backfleet:schema:{model.__name__}",
        "title": model.__name__,
        "description": " ".join((getdoc(model) or "").split()),
        "examples": [example_of(schema) if example is None else example],
    }


def _in_draft_7(node: object) -> object:
    """The same in the words of draft 7, without the titles of properties, which only repeat their names."""
    if isinstance(node, list):
        return [_in_draft_7(one) for one in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    made: dict[str, object] = {}
    for word, value in cast("dict[str, object]", node).items():
        if word in ("title", "discriminator"):
            continue
        if word in ("properties", "$defs"):
            named = cast("dict[str, object]", value)
            made["definitions" if word == "$defs" else word] = {name: _in_draft_7(one) for name, one in named.items()}
        elif word in ("default", "examples", "const", "enum"):
            made[word] = value
        else:
            made["items" if word == "prefixItems" else word] = _in_draft_7(value)
    return made
