"""The MCP server: the protocol on one side, tools, resources and prompts on the other. It knows no transport."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shared import package_version
from shared.errors import BackfleetError, Refusal
from shared.mcp.answer import JSON_TYPE, refused, write
from shared.mcp.fleet import Fleet
from shared.mcp.prompts import PROMPTS, say
from shared.mcp.resources import TEMPLATES, list_resources, read_resource
from shared.mcp.telling import Tell, Telling
from shared.mcp.tools import TOOLS, Call

log = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]
_SURPRISE = "something went wrong on our side; it was logged"
_SESSION = "mcp-session-id"
_ONLY_ONE = "stdio"
_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
INSTRUCTIONS = (
    "Backtests as a service. list_market_data and list_strategies say what can be run; run_backtest starts one and "
    "wait_for_backtest waits for its end. Backtests go on whatever becomes of the connection. Refusals name the "
    "argument, the value and the remedy."
)


class _Notification(types.Notification[dict[str, Any], str]):
    """One with a method of our own, too, of which the SDK has no type."""


class _Session:
    """Who is told of its backtests, and the least level of messages that it wants, as an index of `_LEVELS`."""

    telling: Telling
    least = 0


class AgentServer:
    """`lowlevel` is what transports serve. `fleet_of` says on whose behalf a request is made."""

    def __init__(self, fleet_of: Callable[[Context], Fleet]) -> None:
        self._fleet_of = fleet_of
        self._sessions: dict[str, _Session] = {}
        self.lowlevel: Server[Any] = Server(
            "backfleet",
            version=package_version(),
            title="backfleet",
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: _SCHEMAS.get(name),
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )
        # Older clients want to say how much they hear; the constructor warns that newer ones do not ask.
        self.lowlevel.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self._set_level)

    async def close(self) -> None:
        for session in list(self._sessions.values()):
            await session.telling.close()

    async def _list_tools(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=list(_LISTED))

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name[:64]!a}; there are {', '.join(TOOLS)}")

        async def report(percent: float, words: str) -> None:
            await context.session.report_progress(percent, 100.0, words)

        try:
            session = self._session(context)
            call = Call(self._fleet_of(context), session.telling if session else None, report)
            return (await tool.call(call, params.arguments or {})).as_result()
        except BackfleetError as error:
            return refused(error)
        except Exception:
            log.exception("the tool %s failed", tool.name)
            return types.CallToolResult(content=[types.TextContent(text=_SURPRISE)], is_error=True)

    def _session(self, context: Context) -> _Session | None:
        """None where there is none: then nothing can be told after the answer, which tells all that there is then."""
        session_id = _session_of(context)
        if session_id is not None and session_id not in self._sessions:
            session = _Session()
            session.telling = Telling(_tell(context, session))
            self._sessions[session_id] = session
            if session_id != _ONLY_ONE:
                # What ends with a session the SDK keeps here, and has no public name for.
                connection = context.session._connection  # pyright: ignore[reportPrivateUsage]
                connection.exit_stack.push_async_callback(self._forget, session_id)
        return self._sessions[session_id] if session_id is not None else None

    async def _forget(self, session_id: str) -> None:
        await self._sessions.pop(session_id).telling.close()

    async def _set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        session = self._session(context)
        if session is not None:
            session.least = _LEVELS.index(params.level)
        return types.EmptyResult()

    async def _list_resources(
        self, context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        with _as_protocol_errors():
            return types.ListResourcesResult(resources=await list_resources(self._fleet_of(context)))

    async def _list_templates(
        self, _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        with _as_protocol_errors():
            text = write(await read_resource(self._fleet_of(context), uri))
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, mime_type=JSON_TYPE, text=text)])

    async def _list_prompts(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[one.listed for one in PROMPTS.values()])

    async def _get_prompt(self, _: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        work = PROMPTS.get(params.name)
        if work is None:
            raise MCPError(
                types.INVALID_PARAMS, f"there is no prompt {params.name[:64]!a}; there are {', '.join(PROMPTS)}"
            )
        try:
            text = say(work, params.arguments or {})
        except ValueError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        return types.GetPromptResult(
            description=work.listed.description,
            messages=[types.PromptMessage(role="user", content=types.TextContent(text=text))],
        )


def _tell(context: Context, of: _Session) -> Tell:
    """Sends on the session's own stream."""
    session, newer = context.session, context.protocol_version in MODERN_PROTOCOL_VERSIONS

    async def tell(method: str, params: dict[str, Any]) -> None:
        if method == "notifications/message" and (newer or _LEVELS.index(params["level"]) < of.least):
            return  # In newer versions who does not ask for messages must not be sent any.
        notification = _Notification(method=method, params=params)
        await session.send_notification(cast("types.ServerNotification", notification))

    return tell


def _session_of(context: Context) -> str | None:
    """What names the session of a request; None where there is none, so that nothing can be told after the answer."""
    if context.request is None:
        return _ONLY_ONE
    return context.request.headers.get(_SESSION)


@contextmanager
def _as_protocol_errors() -> Generator[None]:
    """What cannot be read is an error of the protocol: resources have no errors of their own."""
    try:
        yield
    except BackfleetError as error:
        mend = isinstance(error, Refusal)
        code = types.INVALID_PARAMS if mend else types.INTERNAL_ERROR
        raise MCPError(code, error.message if mend else "the gateway does not answer; try again") from None


_SCHEMAS = {name: one.arguments.model_json_schema() for name, one in TOOLS.items()}
_LISTED = tuple(
    types.Tool(
        name=one.name,
        title=one.title,
        description=one.description,
        input_schema=_SCHEMAS[one.name],
        annotations=types.ToolAnnotations(
            title=one.title, read_only_hint=one.reads, destructive_hint=not one.reads and one.name != "run_backtest"
        ),
    )
    for one in TOOLS.values()
)
