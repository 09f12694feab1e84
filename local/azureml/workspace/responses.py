"""The workspace's documents, and how clients find the rest of the cloud from a single URL."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.wire.documents import document
from local.azureml.wire.errors import ResourceNotFound


async def healthz(request: Request) -> Response:
    """GET /healthz: this process is ready."""
    return JSONResponse({"status": "ok"})


async def metadata(request: Request) -> Response:
    """GET /metadata/endpoints: what ARM says about its cloud, to anybody."""
    addresses = cloud_of(request).addresses
    return JSONResponse(
        [
            {
                "name": f"Local{addresses.port}",
                "portal": addresses.portal,
                "resourceManager": f"{addresses.base}/",
                "authentication": {"loginEndpoint": f"{addresses.base}/aad/"},
                "suffixes": {"storage": "core.windows.net"},
            }
        ]
    )


async def discovery(request: Request) -> Response:
    """GET /discovery: base URLs of the services behind the workspace."""
    base = cloud_of(request).addresses.base
    return JSONResponse(dict.fromkeys(("api", "history", "experimentation", "catalog"), base))


async def get(request: Request) -> Response:
    """GET {ws}"""
    cloud = cloud_of(request)
    addresses = cloud.addresses
    storage = f"/subscriptions/{addresses.subscription}/resourceGroups/{addresses.group}"
    properties = {
        "friendlyName": addresses.workspace,
        "workspaceId": cloud.workspace_guid,
        "discoveryUrl": f"{addresses.base}/discovery",
        "mlFlowTrackingUri": f"azureml://localhost:{addresses.port}/mlflow/v1.0{addresses.workspace_id}",
        "storageAccount": f"{storage}/providers/Microsoft.Storage/storageAccounts/{cloud.datastores.account}",
        "provisioningState": "Succeeded",
    }
    return JSONResponse(
        document(
            addresses.workspace_id,
            "workspaces",
            properties,
            cloud.started,
            location=addresses.location,
            identity={"type": "SystemAssigned", "tenantId": addresses.tenant},
            kind="Default",
            tags={},
        )
    )


async def list_datastores(request: Request) -> Response:
    """GET {ws}/datastores[?isDefault=true]"""
    cloud = cloud_of(request)
    names = list(cloud.datastores.containers)
    if request.query_params.get("isDefault", "").lower() == "true":
        names = names[:1]
    return JSONResponse({"value": [_datastore(request, name) for name in names]})


async def get_datastore(request: Request) -> Response:
    """GET {ws}/datastores/{name}"""
    name = request.path_params["name"]
    if name not in cloud_of(request).datastores.containers:
        raise ResourceNotFound(f"Datastore {name} was not found in the workspace.")
    return JSONResponse(_datastore(request, name))


def _datastore(request: Request, name: str) -> dict[str, Any]:
    cloud = cloud_of(request)
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": cloud.datastores.account,
        "containerName": cloud.datastores.containers[name],
        "endpoint": "core.windows.net",
        "protocol": "https",
        "isDefault": name == next(iter(cloud.datastores.containers)),
        # Without a credential, whoever reads must be known to the account. Secrets are not handed out either way, so
        # local paths cannot be uploaded through the SDK.
        "credentials": {"credentialsType": "None" if name in cloud.pacer.settings.datastore_readers else "AccountKey"},
        "tags": {},
        "properties": {},
    }
    identity = f"{cloud.addresses.workspace_id}/datastores/{name}"
    return document(identity, "workspaces/datastores", properties, cloud.started)
