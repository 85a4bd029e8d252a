"""The Model Context Protocol by its official SDK, over the tools of :mod:`tools`.

Imported only when the SDK is installed. Each request stands alone: it has a key, and one answer in JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import mcp_types as types
import msgspec
from aiohttp import hdrs, web
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from bot_service.api.server.access import principal
from bot_service.dialects.mcp.tools import TOOLS
from bot_service.domain.refused import Refused, not_found
from bot_service.engines.port import EngineError
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.errors import is_unfit
from shared.version import VERSION
from shared.web import body, errors

_ABOUT = "WhatsApp accounts of Veilleur. Messages are stored before they are sent; a state says what became of each."
# Where the SDK's request has that of aiohttp.
_REQUEST = "veilleur.request"
Context = ServerRequestContext[Any, Any]


class McpServer:
    """Answers requests between :meth:`start` and :meth:`close`."""

    def __init__(self) -> None:
        server: Server[Any] = Server(
            "veilleur", version=VERSION, instructions=_ABOUT, on_list_tools=_list_tools, on_call_tool=_call_tool
        )
        self._manager = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=body.BODY_BYTES
        )
        self._began, self._over = asyncio.Event(), asyncio.Event()
        self._held: asyncio.Task[None] | None = None

    async def start(self) -> None:
        # A task of its own holds the tasks of the SDK: they must end where they began.
        self._held = asyncio.create_task(self._hold(), name="mcp")
        await self._began.wait()

    async def _hold(self) -> None:
        async with self._manager.run():
            self._began.set()
            await self._over.wait()

    async def close(self) -> None:
        self._over.set()
        if self._held is not None:
            await self._held

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST through the SDK's ASGI application."""
        content = await body.read_bytes(request, body.BODY_BYTES)
        received, status, answer = False, 500, bytearray()
        headers: dict[str, str] = {}

        async def receive() -> MutableMapping[str, Any]:
            nonlocal received
            if received:  # the client stays until it has its answer
                await asyncio.Event().wait()
            received = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.extend(message.get("body", b""))

        await self._manager.handle_request(_scope(request), receive, send)
        kept = {name: value for name, value in headers.items() if name.title() != hdrs.CONTENT_LENGTH}
        return web.Response(body=bytes(answer), status=status, headers=kept)


def _scope(request: web.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": request.query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": None,
        "server": None,
        _REQUEST: request,
    }


def _request(context: Context) -> web.Request:
    assert context.request is not None, "each message comes by HTTP"  # noqa: S101
    found: web.Request = context.request.scope[_REQUEST]
    return found


async def _list_tools(context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    """Those that the caller's key may call."""
    who = principal(_request(context))
    return types.ListToolsResult(
        tools=[
            types.Tool(
                name=name,
                description=tool.about,
                input_schema=tool.schema(),
                annotations=types.ToolAnnotations(
                    read_only_hint=name != "send_message", destructive_hint=False, idempotent_hint=True
                ),
            )
            for name, tool in TOOLS.items()
            if who.may(tool.scope)
        ]
    )


async def _call_tool(context: Context, asked: types.CallToolRequestParams) -> types.CallToolResult:
    request = _request(context)
    try:
        tool = TOOLS.get(asked.name)
        if tool is None:
            raise not_found("this tool")
        principal(request).require(tool.scope)
        found = await tool.call(request, body.convert(asked.arguments or {}, tool.arguments))
    except errors.Problem as problem:
        return _failed(problem.code, problem.detail)
    except Refused as refused:
        field = f"{refused.field}: " if refused.field is not None else ""
        return _failed(refused.code, field + refused.detail)
    except EngineError as error:
        return _failed(error.code, error.detail)
    except STORE_ERRORS as error:
        if is_unfit(error):
            return _failed("invalid", "an argument has a value that the database cannot hold")
        return _failed("store_unavailable", "the store does not answer")
    encoded = msgspec.json.encode(found)
    text = types.TextContent(text=encoded.decode())
    return types.CallToolResult(content=[text], structured_content=msgspec.json.decode(encoded))


def _failed(code: str, detail: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=f"{code}: {detail}")], is_error=True)
