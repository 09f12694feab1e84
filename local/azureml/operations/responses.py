"""What a client that waits is told: where to look and when to come back."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.wire.errors import ResourceNotFound

PATH = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/operationsStatus/{key:path}"


def hint(request: Request) -> dict[str, str]:
    """When to look again. The SDK's own default is up to 30 seconds."""
    return {"x-ms-retry-after-ms": str(cloud_of(request).pacer.settings.pace.poll_hint_ms)}


def progressing(
    request: Request, body: dict[str, Any], *, status: int = 200, operation: str | None = None
) -> JSONResponse:
    """A resource whose provisioningState may still move."""
    headers = hint(request)
    if operation is not None:
        headers["Azure-AsyncOperation"] = _status_url(request, operation)
    return JSONResponse(body, status, headers)


def accepted(request: Request, operation: str) -> Response:
    """A deletion that has begun."""
    return Response(
        status_code=202,
        headers={**hint(request), "Azure-AsyncOperation": _status_url(request, operation)},
    )


def _status_url(request: Request, operation: str) -> str:
    addresses = cloud_of(request).addresses
    path = PATH.replace("{subscription}", addresses.subscription).replace("{key:path}", operation)
    return f"{addresses.base}{path}"


async def get(request: Request) -> Response:
    """GET .../operationsStatus/{key}"""
    key = request.path_params["key"]
    outcome = cloud_of(request).operations.table.get(key)
    if outcome is None:
        raise ResourceNotFound(f"There is no operation on {key}.")
    body: dict[str, Any] = {"id": request.url.path, "name": key, "status": outcome.status}
    if outcome.status == "Failed":
        body["error"] = {"code": outcome.code, "message": outcome.message}
    return JSONResponse(body, headers=hint(request))
