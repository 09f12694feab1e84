"""The broker's HTTP surface: where publishers publish, subscriptions are made, and people look and meddle.

Only reads requests and writes answers; the rules are in `broker`. Publishing is as in the service; the rest is this
project's own and needs no key, since only this machine can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from dataclasses import dataclass, field

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.eventgrid.broker import Broker
from local.eventgrid.dead_letters import DeadLetters
from local.eventgrid.errors import BadSubscription, HandshakeFailed, RequestError, UnknownSubscription, WrongKey
from local.eventgrid.faults import read_faults
from local.eventgrid.handshake import shake_hands
from local.eventgrid.schemas import read_events
from local.eventgrid.storage_events import StorageEvents
from local.eventgrid.subscriptions import Subscriptions, read_subscription

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
        return json_response(self.subscriptions.all())

    async def put_subscription(self, request: Request) -> Response:
        """Make or replace a subscription, once the webhook has agreed."""
        name = request.path_params["name"]
        wanted = read_subscription(await request.body(), name)
        agreement = await shake_hands(self.client, wanted, f"{self.url}/subscriptions/{name}/validate")
        if not agreement.agreed:
            self._codes[name] = agreement.code
            wanted = msgspec.structs.replace(wanted, state="AwaitingManualAction")
        self.subscriptions.put(wanted)
        return json_response(wanted, status=200 if agreement.agreed else 202)

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
        self.broker.set_faults(read_faults(await request.body()))
        return await self.show_faults(request)

    async def release(self, request: Request) -> Response:
        """Deliver what is held, in order or with `?order=newest_first`; try again at once what failed."""
        order = request.query_params.get("order", "oldest_first")
        if order not in ("oldest_first", "newest_first"):
            raise BadSubscription(f"order {order!r} is neither oldest_first nor newest_first")
        return JSONResponse({"released": self.broker.release(newest_first=order == "newest_first")})

    async def list_deliveries(self, request: Request) -> Response:
        """The latest deliveries, oldest first; `topic`, `type`, `subscription` and `state` narrow them down."""
        described = [delivery.described() for delivery in self.broker.remembered]
        for name in ("topic", "type", "subscription", "state"):
            if wanted := request.query_params.get(name):
                described = [one for one in described if one[name] == wanted]
        return json_response(described)

    async def list_dead_letters(self, _: Request) -> Response:
        """What is in the containers of all subscriptions."""
        containers = {one.dead_letter.container for one in self.subscriptions.all() if one.dead_letter}
        return JSONResponse(await self.dead_letters.read(sorted(containers)))

    async def settled(self, request: Request) -> Response:
        """Wait until all that Azurite did and all that was published has been delivered or given up."""
        settled = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(request.query_params.get("timeout", SETTLED_SECONDS))):
                await self.storage_events.caught_up(self.client)
                await self.broker.settled()
                settled = True
        return json_response({"settled": settled, "pending": [one.described() for one in self.broker.open]})


def create_app(api: Api) -> Starlette:
    """The application around the routes."""
    return Starlette(routes=api.routes(), exception_handlers={RequestError: refuse})


def json_response(content: object, status: int = 200) -> Response:
    """Any value msgspec can write."""
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def refuse(_: Request, error: Exception) -> Response:
    """An error in the shape of the service's own."""
    assert isinstance(error, RequestError)
    return JSONResponse({"error": {"code": error.code, "message": str(error)}}, status_code=error.status)
