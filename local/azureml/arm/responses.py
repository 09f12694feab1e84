"""Documents of the app, of system topics and their subscriptions; and the end of a workspace."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.arm.exceptions import SoftDeleted
from local.azureml.arm.models import SITE, TOPICS, Ended, EventSubscription, function_of
from local.azureml.cloud import cloud_of
from local.azureml.wire.errors import ResourceNotFound


async def list_functions(request: Request) -> Response:
    """GET {site}/functions"""
    around, site = cloud_of(request).around, _site(request)
    found = [{"id": f"{site}/functions/{name}", "name": f"{SITE}/{name}"} for name in await around.functions()]
    return JSONResponse({"value": found})


async def list_keys(request: Request) -> Response:
    """POST {site}/host/default/listKeys"""
    _site(request)
    keys = cloud_of(request).around.keys()
    return JSONResponse(
        {"masterKey": keys["master"], "functionKeys": {"default": keys["function"]}, "systemKeys": keys["system"]}
    )


async def list_topics(request: Request) -> Response:
    """GET /subscriptions/{s}/providers/Microsoft.EventGrid/systemTopics"""
    around = cloud_of(request).around
    there = [name for name in TOPICS if around.neighbours.eventgrid_url and not around.ended.get(f"topics/{name}")]
    return JSONResponse({"value": [around.topic(name) for name in there]})


async def get_topic(request: Request) -> Response:
    """GET {topic}"""
    return JSONResponse(cloud_of(request).around.topic(request.path_params["topic"]))


async def delete_topic(request: Request) -> Response:
    """DELETE {topic}"""
    around, name = cloud_of(request).around, request.path_params["topic"]
    if name not in TOPICS or around.ended.get(f"topics/{name}"):
        return Response(status_code=204)
    for function in around.remove_topic(name):
        await around.unsubscribe(function)
    return Response()


async def list_subscriptions(request: Request) -> Response:
    """GET {topic}/eventSubscriptions"""
    around, topic = cloud_of(request).around, request.path_params["topic"]
    around.topic(topic)
    found = [one for one in around.subscriptions if one.topic == topic and await around.is_known_to_the_broker(one)]
    return JSONResponse({"value": [_document(request, one) for one in found]})


async def get_subscription(request: Request) -> Response:
    """GET {topic}/eventSubscriptions/{name}"""
    around = cloud_of(request).around
    one = around.subscriptions.get(f"{request.path_params['topic']}/{request.path_params['name']}")
    if one is None or not await around.is_known_to_the_broker(one):
        raise ResourceNotFound(f"Event subscription {request.path_params['name']} was not found.")
    return JSONResponse(_document(request, one))


async def put_subscription(request: Request) -> Response:
    """PUT {topic}/eventSubscriptions/{name}"""
    properties = (await request.json()).get("properties") or {}
    around = cloud_of(request).around
    made = await around.subscribe(request.path_params["topic"], request.path_params["name"], properties)
    return JSONResponse(_document(request, made), 201)


async def delete_subscription(request: Request) -> Response:
    """DELETE {topic}/eventSubscriptions/{name}"""
    around, key = cloud_of(request).around, f"{request.path_params['topic']}/{request.path_params['name']}"
    one = around.subscriptions.get(key)
    if one is None:
        return Response(status_code=204)
    around.subscriptions.remove(key)
    await around.unsubscribe(function_of(one.properties))
    return Response()


async def delete_workspace(request: Request) -> Response:
    """DELETE {ws}[?forceToPurge=true]: with it, also one that was deleted before"""
    cloud = cloud_of(request)
    purge = request.query_params.get("forceToPurge", "").lower() == "true"
    state = cloud.around.workspace_state()
    if state == "gone" or (state == "kept" and not purge):
        return Response(status_code=204)
    for endpoint in list(cloud.endpoints.table):
        cloud.endpoints.delete(endpoint.name)
    for cluster in list(cloud.computes.table):
        cloud.computes.delete(cluster.name)
    cloud.around.ended.put("workspace", Ended(kept=not purge))
    return Response(status_code=202)


async def put_workspace(request: Request) -> Response:
    """PUT {ws}: made anew, unless it was deleted and is kept"""
    around = cloud_of(request).around
    if around.workspace_state() == "kept":
        raise SoftDeleted
    around.ended.remove("workspace")
    for name in TOPICS:
        around.ended.remove(f"topics/{name}")
    return JSONResponse({"id": around.addresses.workspace_id, "properties": {"provisioningState": "Succeeded"}})


def _site(request: Request) -> str:
    around = cloud_of(request).around
    if request.path_params["site"].lower() != SITE or not around.neighbours.app_url:
        raise ResourceNotFound(f"The site {request.path_params['site']} was not found.")
    return f"{around.group}/providers/Microsoft.Web/sites/{SITE}"


def _document(request: Request, one: EventSubscription) -> dict[str, Any]:
    topic = f"{cloud_of(request).around.group}/providers/Microsoft.EventGrid/systemTopics/{one.topic}"
    return {
        "id": f"{topic}/eventSubscriptions/{one.name}",
        "name": one.name,
        "properties": {**one.properties, "topic": topic, "provisioningState": "Succeeded"},
    }
