"""The one place where the host is put together: triggers, keys, queues and the table of addresses.

`__main__` builds Triggers once the app is indexed; that finds every mistake which is left (routes, schedules,
connections), as a CannotStart, before anything runs. `server` gives them life.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.host.admin import Admin
from local.host.errors import CannotStart
from local.host.functions import Function, Kind
from local.host.http import HttpTriggers
from local.host.invocations import Invoker
from local.host.keys import HostKeys
from local.host.settings import HostSettings, cors_origins
from local.host.streaming import Forwarder
from local.host.timers import TimerListener, TimerRecords
from local.host.webhooks import EventGridWebhook

if TYPE_CHECKING:
    from local.host.queue_storage import Queues

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY"]


class _Anything(PathConvertor):
    """Any path: unlike Starlette's own convertor also one with a line feed in it."""

    regex = r"[\s\S]*"


register_url_convertor("anything", _Anything())


class TriggerListener(Protocol):
    """A trigger that waits for something by itself."""

    async def run(self) -> None:
        """Serve until stopped."""

    def stop(self) -> None:
        """Start nothing new."""

    async def finish(self) -> None:
        """Wait for what is under way."""


@dataclass(frozen=True)
class HostPlan:
    """What to serve, and how; `http_address` is where a streaming app listens."""

    functions: Sequence[Function]
    settings: HostSettings
    keys: HostKeys
    folder: Path
    visibility: int
    http_address: str | None = None

    def of(self, kind: Kind) -> list[Function]:
        return [function for function in self.functions if function.kind == kind]


class Triggers:
    """The triggers of one host, wired together; used from the host's loop, closed when done."""

    def __init__(self, plan: HostPlan, app_loop: asyncio.AbstractEventLoop) -> None:
        self._queues = _queues(plan)
        self.invoker = Invoker(app_loop, plan.settings.function_timeout, self._queues)
        self._forwarder = Forwarder(plan.http_address, self.invoker) if plan.http_address else None
        self.listeners = [*self._timers(plan), *self._queue_listeners(plan)]
        self.application = self._application(plan)

    async def drained(self, grace: float) -> bool:
        """Wait up to `grace` seconds for running invocations and for answers still being sent; whether all ended."""
        ends = time.monotonic() + grace
        if not await self.invoker.drained(grace):
            return False
        return self._forwarder is None or await self._forwarder.drained(ends - time.monotonic())

    async def close(self) -> None:
        for part in (self._queues, self._forwarder):
            if part:
                await part.close()

    def _timers(self, plan: HostPlan) -> list[TriggerListener]:
        records = TimerRecords(plan.folder)
        return [TimerListener(function, self.invoker, records) for function in plan.of("timerTrigger")]

    def _queue_listeners(self, plan: HostPlan) -> list[TriggerListener]:
        if not (functions := plan.of("queueTrigger")) or not self._queues:
            return []
        from local.host.queues import QueueListener  # brings the storage SDK

        queues, settings, visibility = self._queues, plan.settings.queues, plan.visibility
        try:
            return [QueueListener(each, queues, settings, visibility, self.invoker) for each in functions]
        except ValueError as wrong:
            raise CannotStart(f"a queue's connection string cannot be used: {wrong}") from wrong

    def _application(self, plan: HostPlan) -> Starlette:
        admin = Admin(plan.functions, plan.keys, self.invoker)
        event_grid = EventGridWebhook(plan.of("eventGridTrigger"), plan.keys, self.invoker)
        prefix, http = plan.settings.route_prefix, plan.of("httpTrigger")
        triggers = HttpTriggers(http, prefix, plan.keys, self.invoker, self._forwarder)
        webhook = [
            Route(f"/runtime/webhooks/{name}", event_grid.respond, methods=["POST", "OPTIONS"])
            for name in ("EventGrid", "eventgrid")
        ]
        origins = cors_origins(os.environ)
        # As Azure's host does it: any method and header, before keys are looked at.
        cors = [Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])]
        return Starlette(
            middleware=cors if origins else [],
            routes=[
                Route("/healthz", admin.health),
                Route("/admin/host/status", admin.status),
                Route("/admin/functions/{name}", admin.run, methods=["POST"]),
                *webhook,
                Route("/admin/{rest:path}", _not_found),
                Route("/runtime/{rest:path}", _not_found),
                Route("/{rest:anything}", triggers.respond, methods=_METHODS),
            ],
        )


def _queues(plan: HostPlan) -> "Queues | None":
    """The queues of the app; an app without any is spared the SDK's import."""
    if not any(each.kind == "queueTrigger" or each.queue_outputs for each in plan.functions):
        return None
    from local.host.queue_storage import Queues

    return Queues(plan.settings.queues.base64)


async def _not_found(_request: Request) -> Response:
    return Response(status_code=404)
