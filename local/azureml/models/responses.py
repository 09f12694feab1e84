"""Model documents."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.models.exceptions import NoSuchModel
from local.azureml.models.models import ModelVersion
from local.azureml.wire.documents import document
from local.azureml.wire.versions import container_properties


async def list_containers(request: Request) -> Response:
    """GET {ws}/models"""
    cloud = cloud_of(request)
    names = dict.fromkeys(row.name for row in cloud.models.live() if _listed(request, row))
    return JSONResponse({"value": [_container(request, name) for name in names]})


async def get_container(request: Request) -> Response:
    """GET {ws}/models/{name}"""
    name = request.path_params["name"]
    if not cloud_of(request).models.versions(name):
        raise NoSuchModel(name)
    return JSONResponse(_container(request, name))


async def list_versions(request: Request) -> Response:
    """GET {ws}/models/{name}/versions"""
    name = request.path_params["name"]
    every = cloud_of(request).models.versions(name)
    if not every:
        raise NoSuchModel(name)
    rows = [_document(request, row) for row in every if _listed(request, row)]
    top = request.query_params.get("$top")
    return JSONResponse({"value": rows[: int(top)] if top else rows})


async def get(request: Request) -> Response:
    """GET {ws}/models/{name}/versions/{version}"""
    parameters = request.path_params
    row = cloud_of(request).models.get(parameters["name"], parameters["version"])
    return JSONResponse(_document(request, row))


async def put(request: Request) -> Response:
    """PUT {ws}/models/{name}/versions/{version}"""
    parameters = request.path_params
    row, new = cloud_of(request).models.put(parameters["name"], parameters["version"], await request.json())
    return JSONResponse(_document(request, row), 201 if new else 200)


async def delete(request: Request) -> Response:
    """DELETE {ws}/models/{name}/versions/{version}"""
    parameters = request.path_params
    found = cloud_of(request).models.delete(parameters["name"], parameters["version"])
    return Response(status_code=200 if found else 204)


def _listed(request: Request, row: ModelVersion) -> bool:
    view = request.query_params.get("listViewType", "ActiveOnly")
    archived = bool(row.properties.get("isArchived"))
    return view == "All" or archived == (view == "ArchivedOnly")


def _container(request: Request, name: str) -> dict[str, Any]:
    cloud = cloud_of(request)
    versions = cloud.models.versions(name)
    identity = f"{cloud.addresses.workspace_id}/models/{name}"
    properties = container_properties([row.version for row in versions])
    return document(identity, "workspaces/models", properties, versions[0].times)


def _document(request: Request, row: ModelVersion) -> dict[str, Any]:
    identity = f"{cloud_of(request).addresses.workspace_id}/models/{row.name}/versions/{row.version}"
    properties = {
        **row.properties,
        # Rewritten as the service does: the SDK refuses a job path when it builds a deployment from the
        # entity.
        "modelUri": row.uri,
        "flavors": row.flavors,
        "jobName": row.job,
        "stage": row.properties.get("stage"),
    }
    return document(identity, "workspaces/models/versions", properties, row.times)
