"""Endpoint and deployment documents, keys, logs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.control.responses import BadControl, body_of
from local.azureml.endpoints.deployments import OnlineDeployment, PlannedFailure
from local.azureml.endpoints.models import OnlineEndpoint
from local.azureml.endpoints.replica import SERVER_LOG, STORAGE_LOG
from local.azureml.operations.responses import accepted, progressing
from local.azureml.wire.documents import document


async def list_endpoints(request: Request) -> Response:
    """GET {ws}/onlineEndpoints"""
    rows = [_endpoint_document(request, endpoint) for endpoint in cloud_of(request).endpoints.table]
    return JSONResponse({"value": rows})


async def get(request: Request) -> Response:
    """GET {ws}/onlineEndpoints/{endpoint}"""
    endpoint = cloud_of(request).endpoints.get(request.path_params["endpoint"])
    return progressing(request, _endpoint_document(request, endpoint))


async def put(request: Request) -> Response:
    """PUT {ws}/onlineEndpoints/{endpoint}"""
    name = request.path_params["endpoint"]
    endpoint, new = cloud_of(request).endpoints.put(name, await request.json())
    key = f"onlineEndpoints/{endpoint.name}"
    body = _endpoint_document(request, endpoint)
    return progressing(request, body, status=201 if new else 200, operation=key)


async def delete(request: Request) -> Response:
    """DELETE {ws}/onlineEndpoints/{endpoint}"""
    name = request.path_params["endpoint"]
    if not cloud_of(request).endpoints.delete(name):
        return Response(status_code=204)
    return accepted(request, f"onlineEndpoints/{name}")


async def list_keys(request: Request) -> Response:
    """POST {ws}/onlineEndpoints/{endpoint}/listKeys"""
    keys = cloud_of(request).endpoints.get(request.path_params["endpoint"]).keys
    return JSONResponse({"primaryKey": keys.primary, "secondaryKey": keys.secondary})


async def regenerate_keys(request: Request) -> Response:
    """POST {ws}/onlineEndpoints/{endpoint}/regenerateKeys"""
    body = await request.json()
    name = request.path_params["endpoint"]
    cloud_of(request).endpoints.regenerate(name, body.get("keyType", "Primary"), body.get("keyValue"))
    return Response(status_code=200)


async def list_deployments(request: Request) -> Response:
    """GET {ws}/onlineEndpoints/{endpoint}/deployments"""
    cloud, name = cloud_of(request), request.path_params["endpoint"]
    cloud.endpoints.get(name)
    rows = [_deployment_document(request, row) for row in cloud.deployments.of(name)]
    return JSONResponse({"value": rows})


async def get_deployment(request: Request) -> Response:
    """GET {ws}/onlineEndpoints/{endpoint}/deployments/{name}"""
    return progressing(request, _deployment_document(request, _deployment(request)))


async def put_deployment(request: Request) -> Response:
    """PUT {ws}/onlineEndpoints/{endpoint}/deployments/{name}"""
    parameters = request.path_params
    row, new = cloud_of(request).deployments.put(parameters["endpoint"], parameters["name"], await request.json())
    body = _deployment_document(request, row)
    return progressing(request, body, status=201 if new else 200, operation=row.operation)


async def delete_deployment(request: Request) -> Response:
    """DELETE {ws}/onlineEndpoints/{endpoint}/deployments/{name}"""
    parameters = request.path_params
    row = cloud_of(request).deployments.delete(parameters["endpoint"], parameters["name"])
    return Response(status_code=204) if row is None else accepted(request, row.operation)


async def get_logs(request: Request) -> Response:
    """POST {ws}/onlineEndpoints/{endpoint}/deployments/{name}/getLogs"""
    body = await request.json()
    replica = cloud_of(request).deployments.replica(_deployment(request))
    storage = str(body.get("containerType") or "").lower() == "storageinitializer"
    content = replica.tail(STORAGE_LOG if storage else SERVER_LOG, int(body.get("tail") or 500))
    return JSONResponse({"content": content})


def _deployment(request: Request) -> OnlineDeployment:
    parameters = request.path_params
    return cloud_of(request).deployments.get(parameters["endpoint"], parameters["name"])


def _endpoint_document(request: Request, endpoint: OnlineEndpoint) -> dict[str, Any]:
    addresses = cloud_of(request).addresses
    identity = f"{addresses.workspace_id}/onlineEndpoints/{endpoint.name}"
    properties = {
        "authMode": "Key",
        "description": endpoint.description,
        "properties": {**endpoint.properties, "azureml.onlineendpointid": identity.lower()},
        "traffic": endpoint.traffic,
        "mirrorTraffic": endpoint.mirror,
        "provisioningState": endpoint.state,
        "scoringUri": addresses.scoring(endpoint.name),
        "swaggerUri": f"{addresses.base}/endpoints/{endpoint.name}/swagger.json",
        "publicNetworkAccess": "Enabled",
    }
    return document(
        identity,
        "workspaces/onlineEndpoints",
        properties,
        endpoint.times,
        location=endpoint.location,
        tags=endpoint.tags,
        identity=endpoint.identity,
        kind="Managed",
    )


def _deployment_document(request: Request, row: OnlineDeployment) -> dict[str, Any]:
    properties = {
        **row.properties,
        "endpointComputeType": "Managed",
        "provisioningState": row.state,
        # Never sent by the SDK, but needed by it.
        "scaleSettings": row.properties.get("scaleSettings") or {"scaleType": "Default"},
    }
    workspace = cloud_of(request).addresses.workspace_id
    return document(
        f"{workspace}/onlineEndpoints/{row.endpoint}/deployments/{row.name}",
        "workspaces/onlineEndpoints/deployments",
        properties,
        row.times,
        location=row.location,
        tags=row.tags,
        sku={"name": "Default", "capacity": row.instances},
    )


class _FailedWrite(msgspec.Struct, forbid_unknown_fields=True):
    code: str = "InternalServerError"
    message: str = "The write failed after it was accepted, on request of the control API."


async def fail_next_write(request: Request) -> Response:
    """POST /_control/endpoints/{name} {"code", "message"}: its next write or removal is accepted, and fails then."""
    cloud, name = cloud_of(request), request.path_params["name"]
    wanted = await body_of(request, _FailedWrite)
    cloud.endpoints.to_fail[name] = (wanted.code, wanted.message)
    return JSONResponse({"applied": "later", "matching": [name] if cloud.endpoints.table.get(name) else []})


async def set_outcome(request: Request) -> Response:
    """POST /_control/deployments/{endpoint}/{name}: let the next write fail, or crash now.

    `{"outcome": "Failed", "code", "message", "log", "after_seconds"}` or `{"outcome": "crash"}`. The name `*` is that
    of the next deployment behind the endpoint, which need not be there yet. Clearing the faults ends `after_seconds`.
    """
    cloud, parameters = cloud_of(request), request.path_params
    body = await body_of(request, dict[str, Any])
    outcome = body.pop("outcome", "Failed")
    if outcome not in ("Failed", "crash"):
        raise BadControl(f"outcome is Failed or crash; found '{outcome}'.")
    if outcome == "crash":
        child = cloud.deployments.replica(_deployment(request)).child
        if child is None:
            raise BadControl("the deployment has no process that could crash.")
        await child.kill()
        return JSONResponse({"applied": "now"})
    key = f"{parameters['endpoint']}/{parameters['name']}".lower()
    try:
        cloud.deployments.to_fail[key] = msgspec.convert(body, PlannedFailure)
    except msgspec.ValidationError as error:
        raise BadControl(str(error)) from error
    known = [row.key for row in cloud.deployments.table if fnmatchcase(row.key.lower(), key)]
    return JSONResponse({"applied": "later", "matching": known})
