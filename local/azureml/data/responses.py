"""Data asset documents."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.data.exceptions import NoSuchData
from local.azureml.data.models import DataVersion
from local.azureml.wire.documents import document
from local.azureml.wire.versions import container_properties


async def get_container(request: Request) -> Response:
    """GET {ws}/data/{name}"""
    cloud, name = cloud_of(request), request.path_params["name"]
    versions = cloud.data.versions(name)
    if not versions:
        raise NoSuchData(name)
    properties = {
        "dataType": versions[0].properties["dataType"],
        **container_properties([row.version for row in versions]),
    }
    identity = f"{cloud.addresses.workspace_id}/data/{versions[0].name}"
    return JSONResponse(document(identity, "workspaces/data", properties, versions[0].times))


async def list_versions(request: Request) -> Response:
    """GET {ws}/data/{name}/versions"""
    rows = cloud_of(request).data.versions(request.path_params["name"])
    top = request.query_params.get("$top")
    documents = [_document(request, row) for row in rows]
    return JSONResponse({"value": documents[: int(top)] if top else documents})


async def get(request: Request) -> Response:
    """GET {ws}/data/{name}/versions/{version}"""
    parameters = request.path_params
    return JSONResponse(_document(request, cloud_of(request).data.get(parameters["name"], parameters["version"])))


async def put(request: Request) -> Response:
    """PUT {ws}/data/{name}/versions/{version}"""
    parameters = request.path_params
    row, new = cloud_of(request).data.put(parameters["name"], parameters["version"], await request.json())
    return JSONResponse(_document(request, row), 201 if new else 200)


def _document(request: Request, row: DataVersion) -> dict[str, Any]:
    identity = f"{cloud_of(request).addresses.workspace_id}/data/{row.name}/versions/{row.version}"
    return document(identity, "workspaces/data/versions", row.properties, row.times)
