"""The control API's side of the data path: how deployments are to answer, and what they have done."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.control.responses import body_of, with_changes
from local.azureml.endpoints.replica import Replica


async def put_serving(request: Request) -> Response:
    """PUT /_control/serving: how deployments answer from now on, by pattern; replaces what was set"""
    pacer = cloud_of(request).pacer
    pacer.change(with_changes(pacer.settings, {"serving": await body_of(request, dict[str, Any])}))
    return JSONResponse(msgspec.to_builtins(pacer.settings.serving))


async def get_serving(request: Request) -> Response:
    """GET /_control/serving: how the questions ended that each running deployment was asked, by its own count"""
    cloud = cloud_of(request)
    replicas = {row.key: cloud.deployments.replica(row) for row in cloud.deployments.table}
    running = {key: replica for key, replica in replicas.items() if replica.ready.is_set()}
    return JSONResponse({key: await _counts(request, replica) for key, replica in running.items()})


async def _counts(request: Request, replica: Replica) -> dict[str, int]:
    async with cloud_of(request).session.get(f"http://127.0.0.1:{replica.port}/counts") as answer:
        counts: dict[str, int] = await answer.json()
    return {**counts, "in_flight": replica.in_flight}
