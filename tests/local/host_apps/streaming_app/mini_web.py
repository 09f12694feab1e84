"""A web extension as small as it gets, on the base package that azurefunctions-extensions-http-fastapi uses.

It stands in for that extension in tests of the local host: the runtime finds and starts it in the same way.
"""

# mypy: disable-error-code="import-untyped, misc, metaclass"

from collections.abc import Callable
from typing import Any

import uvicorn
from azurefunctions.extensions import base
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse as StarletteStreamingResponse


class RequestSynchronizer(base.RequestSynchronizer):
    def sync_route_params(self, request: Any, path_params: Any) -> None:
        request.path_params.clear()
        request.path_params.update(path_params)


class Request(metaclass=base.RequestTrackerMeta):
    request_type = StarletteRequest
    synchronizer = RequestSynchronizer()


class Response(metaclass=base.ResponseTrackerMeta):
    label = base.ResponseLabels.STANDARD
    response_type = StarletteResponse


class StreamingResponse(metaclass=base.ResponseTrackerMeta):
    label = base.ResponseLabels.STREAMING
    response_type = StarletteStreamingResponse


class WebApp(base.WebApp):
    def __init__(self) -> None:
        self._starlette = Starlette()

    def route(self, func: Callable[..., Any]) -> None:
        self._starlette.add_route("/{path:path}", func, methods=["GET", "POST"])

    def get_app(self) -> Starlette:
        return self._starlette


class WebServer(base.WebServer):
    async def serve(self) -> None:
        await uvicorn.Server(uvicorn.Config(self.web_app, host=self.hostname, port=self.port)).serve()
