"""The broker's HTTP surface: where publishers publish, subscriptions are made, and people look and meddle.

Only reads requests and writes answers; the rules are in `broker`. Publishing is as in the service; the rest is this
project's own and needs no key, since only this machine can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from dataclasses import dataclass, field

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.eventgrid.broker import Broker
from local.eventgrid.dead_letters import DeadLetters
from local.eventgrid.delivery import DeliveryState
from local.eventgrid.errors import (
    BadSubscription,
    HandshakeFailed,
    ImpossibleQuery,
    RequestError,
    UnknownSubscription,
    WrongKey,
)
from local.eventgrid.faults import read_faults
from local.eventgrid.handshake import shake_hands
from local.eventgrid.schemas import read_events
from local.eventgrid.storage_events import StorageEvents
from local.eventgrid.subscriptions import Subscriptions, read_subscription

log = logging.getLogger(__name__)

SETTLED_SECONDS = 30.0


@dataclass
class Api:
    """Everything the routes need, and the routes."""

    broker: Broker
    storage_events: StorageEvents
    subscriptions: Subscriptions
    dead_letters: DeadLetters
    client: httpx.AsyncClient
    key: str
    url: str
    _codes: dict[str, str] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        """Where what is answered."""
        return [
            Route("/healthz", self.health),
            Route("/topics/{topic}/api/events", self.publish, methods=["POST"]),
            Route("/subscriptions", self.list_subscriptions),
            Route("/subscriptions/{name}", self.put_subscription, methods=["PUT"]),
            Route("/subscriptions/{name}", self.delete_subscription, methods=["DELETE"]),
            Route("/subscriptions/{name}/validate", self.validate),
            Route("/faults", self.show_faults),
            Route("/faults", self.put_faults, methods=["PUT"]),
            Route("/release", self.release, methods=["POST"]),
            Route("/deliveries", self.list_deliveries),
            Route("/dead-letters", self.list_dead_letters),
            Route("/settled", self.settled),
        ]

    async def health(self, _: Request) -> Response:
        """Ready as soon as it answers."""
        return JSONResponse({"status": "ok"})

    async def publish(self, request: Request) -> Response:
        """Take events in; an empty answer with 200 says that they are."""
        if not hmac.compare_digest(request.headers.get("aeg-sas-key", "").encode(), self.key.encode()):
            raise WrongKey("the header aeg-sas-key is missing or does not hold the topic's key")
        topic = request.path_params["topic"]
        self.broker.publish(topic, read_events(await request.body(), topic))
        return Response()

    async def list_subscriptions(self, _: Request) -> Response:
        """Every subscription."""
        return json_response([one.shown for one in self.subscriptions.all()])

    async def put_subscription(self, request: Request) -> Response:
        """Make or replace a subscription, once the webhook has agreed."""
        name = request.path_params["name"]
        wanted = read_subscription(await request.body(), name)
        agreement = await shake_hands(self.client, wanted, f"{self.url}/subscriptions/{name}/validate")
        if not agreement.agreed:
            self._codes[name] = agreement.code
            wanted = msgspec.structs.replace(wanted, state="AwaitingManualAction")
        self.subscriptions.put(wanted)
        return json_response(wanted.shown, status=200 if agreement.agreed else 202)

    async def validate(self, request: Request) -> Response:
        """The late answer to a handshake: whoever knows the code has seen the validation request."""
        name = request.path_params["name"]
        waiting = self.subscriptions.find(name)
        if waiting is None:
            raise UnknownSubscription(f"there is no subscription {name!r}")
        if self._codes.get(name) != request.query_params.get("code"):
            raise HandshakeFailed(f"this is not the validation code of {name}")
        self.subscriptions.put(msgspec.structs.replace(waiting, state="Succeeded"))
        return JSONResponse({"status": "validated"})

    async def delete_subscription(self, request: Request) -> Response:
        """End a subscription; what is on its way to it is dropped."""
        name = request.path_params["name"]
        self.subscriptions.remove(name)
        self.broker.unsubscribed(name)
        return Response(status_code=204)

    async def show_faults(self, _: Request) -> Response:
        """The faults in force."""
        return json_response(self.broker.faults)

    async def put_faults(self, request: Request) -> Response:
        """Replace the faults; `{}` ends them."""
        faults = read_faults(await request.body())
        known = {one.topic for one in self.subscriptions.all()}
        if missing := set(faults.topics) - known:
            raise BadSubscription(
                f"nobody subscribes to {', '.join(sorted(missing))}; known: {', '.join(sorted(known))}"
            )
        self.broker.set_faults(faults)
        return await self.show_faults(request)

    async def release(self, request: Request) -> Response:
        """Deliver what is held, in order or with `?order=newest_first`; try again at once what failed."""
        order = request.query_params.get("order", "oldest_first")
        if order not in ("oldest_first", "newest_first"):
            raise BadSubscription(f"order {order!r} is neither oldest_first nor newest_first")
        return JSONResponse({"released": self.broker.release(newest_first=order == "newest_first")})

    async def list_deliveries(self, request: Request) -> Response:
        """The latest deliveries, oldest first; `topic`, `type`, `subscription` and `state` narrow them down."""
        if unknown := set(request.query_params) - {"topic", "type", "subscription", "state"}:
            raise ImpossibleQuery(f"deliveries cannot be narrowed down by {', '.join(sorted(unknown))}")
        described = [delivery.described() for delivery in self.broker.remembered]
        for name in ("topic", "type", "subscription", "state"):
            if wanted := request.query_params.get(name):
                self._check_known(name, wanted)
                described = [one for one in described if one[name] == wanted]
        return json_response(described)

    def _check_known(self, name: str, wanted: str) -> None:
        """Raises ImpossibleQuery for what no delivery can ever have: a test that asks for it would wait in vain."""
        if name == "state" and wanted not in list(DeliveryState):
            raise ImpossibleQuery(f"state {wanted!r} is none of {', '.join(DeliveryState)}")
        known = {one.name for one in self.subscriptions.all()} | {one.subscription for one in self.broker.remembered}
        if name == "subscription" and wanted not in known:
            raise UnknownSubscription(f"there is no subscription {wanted!r}, and there was none")

    async def list_dead_letters(self, _: Request) -> Response:
        """What is in the containers of all subscriptions."""
        containers = {one.dead_letter.container for one in self.subscriptions.all() if one.dead_letter}
        return JSONResponse(await self.dead_letters.read(sorted(containers)))

    async def settled(self, request: Request) -> Response:
        """Wait until all that Azurite did and all that was published has been delivered or given up."""
        settled = False
        seconds = _seconds(request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.storage_events.caught_up(self.client)
                await self.broker.settled()
                settled = True
        return json_response({"settled": settled, "pending": [one.described() for one in self.broker.open]})


def _seconds(request: Request) -> float:
    given = request.query_params.get("timeout", str(SETTLED_SECONDS))
    try:
        return float(given)
    except ValueError as error:
        raise ImpossibleQuery(f"timeout {given!r} is no number of seconds") from error


def create_app(api: Api) -> Starlette:
    """The application around the routes."""
    return Starlette(routes=api.routes(), exception_handlers={RequestError: refuse, OSError: no_room})


def json_response(content: object, status: int = 200) -> Response:
    """Any value msgspec can write."""
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def no_room(_: Request, error: Exception) -> Response:
    """What could not be kept is not promised: the disk is full, or the folder is gone."""
    log.warning("it could not be kept: %s", error)
    return JSONResponse({"error": {"code": "InsufficientStorage", "message": f"it could not be kept: {error}"}}, 507)


def refuse(_: Request, error: Exception) -> Response:
    """An error in the shape of the service's own."""
    assert isinstance(error, RequestError)
    return JSONResponse({"error": {"code": error.code, "message": str(error)}}, status_code=error.status)
