"""What a tool answers: the same JSON as a resource and as structured content, a short text, perhaps a picture."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from mcp_types import CallToolResult, EmbeddedResource, ImageContent, TextContent, TextResourceContents

from shared.errors import BackfleetError, InvalidRequest, TooLarge, Unavailable

JSON_TYPE = "application/json"
# Both copies of it must fit into one event of a stream, of which clients take a mebibyte.
JSON_MAX_CHARS = 400_000
_SILENT = "the gateway, or a server behind it, does not answer; try again"


@dataclass(frozen=True, slots=True)
class Answer:
    """`uri` names what `data` is of; `text` is for people; `png` is a picture of it."""

    uri: str
    data: Any
    text: str
    png: bytes | None = None

    def as_result(self) -> CallToolResult:
        """The resource stands first: older programs read it by its place. A list is wrapped for `structuredContent`,
        which the protocol wants to be an object. Raises `TooLarge`."""
        text = write(self.data)
        if len(text) > JSON_MAX_CHARS:
            remedy = "ask for fewer: name a symbol, or lower limit, max_trades or max_points"
            raise TooLarge(f"the answer has {len(text)} characters, the most allowed is {JSON_MAX_CHARS}; {remedy}")
        resource = TextResourceContents(uri=self.uri, mime_type=JSON_TYPE, text=text)
        content: list[Any] = [EmbeddedResource(resource=resource), TextContent(text=self.text)]
        if self.png is not None:
            content.append(ImageContent(data=base64.b64encode(self.png).decode(), mime_type="image/png"))
        listed = isinstance(self.data, list)
        structured: dict[str, Any] = {"result": self.data} if listed else self.data
        return CallToolResult(content=content, structured_content=structured)


def write(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def refused(error: BackfleetError) -> CallToolResult:
    """A tool error: a line for each thing to mend."""
    if isinstance(error, Unavailable):
        message, lines = _SILENT, [_SILENT]
    else:
        message, lines = error.message, [error.message]
        if isinstance(error, InvalidRequest) and error.errors:
            lines = [f"{one.field}: {one.message}" for one in error.errors]
    said = {"code": error.code, "message": message, "errors": [one.as_wire() for one in error.errors]}
    return CallToolResult(
        content=[TextContent(text="\n".join(lines))], structured_content={"error": said}, is_error=True
    )
