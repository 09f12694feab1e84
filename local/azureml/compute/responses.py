"""Compute documents, sizes and usage."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.compute.models import AmlCompute
from local.azureml.compute.sizes import all_sizes, find_size
from local.azureml.control.responses import body_of
from local.azureml.operations.responses import accepted, progressing
from local.azureml.settings import TOTAL
from local.azureml.wire.documents import document


async def list_computes(request: Request) -> Response:
    """GET {ws}/computes"""
    return JSONResponse({"value": [_document(request, c) for c in cloud_of(request).computes.table]})


async def get(request: Request) -> Response:
    """GET {ws}/computes/{name}"""
    cluster = cloud_of(request).computes.get(request.path_params["name"])
    return progressing(request, _document(request, cluster))


async def put(request: Request) -> Response:
    """PUT {ws}/computes/{name}"""
    name = request.path_params["name"]
    cluster, new = cloud_of(request).computes.put(name, await request.json())
    key = f"computes/{cluster.name}"
    return progressing(request, _document(request, cluster), status=201 if new else 200, operation=key)


async def delete(request: Request) -> Response:
    """DELETE {ws}/computes/{name}"""
    name = request.path_params["name"]
    if not cloud_of(request).computes.delete(name):
        return Response(status_code=204)
    return accepted(request, f"computes/{name}")


async def list_sizes(request: Request) -> Response:
    """GET {location}/vmSizes"""
    rows = [
        {
            "name": size.name,
            "family": size.family,
            "vCPUs": size.vCPUs,
            "gpus": size.gpus,
            "memoryGB": size.memoryGB,
            "osVhdSizeMB": 1047552,
            "maxResourceVolumeMB": int(size.diskGB * 1024),
            "lowPriorityCapable": True,
            "premiumIO": True,
            "supportedComputeTypes": ["AmlCompute"],
        }
        for size in all_sizes()
    ]
    return JSONResponse({"value": rows})


async def list_usage(request: Request) -> Response:
    """GET {location}/usages: cores by family, of clusters at their largest and of all deployments

    Low-priority cores and the share of a workspace come under the same names; only their type differs, as in Azure.
    """
    cloud = cloud_of(request)
    used = cloud.deployments.cores_in_use()
    for cluster in cloud.computes.table:
        if size := find_size(cluster.properties["vmSize"]):
            nodes = (cluster.properties.get("scaleSettings") or {}).get("maxNodeCount", 1)
            used[size.family] = used.get(size.family, 0) + nodes * size.vCPUs
    quota = cloud.pacer.settings.quota
    for family, cores in cloud.pacer.settings.cores_of_others.items():
        used[family] = used.get(family, 0) + cores
    total, limit = "Total Cluster Dedicated Regional vCPUs", quota.get(TOTAL, -1)
    rows = [_usage(request, "dedicatedCores", total, sum(used.values()), limit)]
    for family in sorted({size.family for size in all_sizes()}):
        limit = quota.get(family, quota.get("*", 0))
        rows += [
            _usage(request, "vmFamily/dedicatedCores", family, used.get(family, 0), limit),
            _usage(request, "vmFamily/lowPriorityCores", family, 0, 0),
            _usage(request, "workspaces/dedicatedCores", family, used.get(family, 0), -1),
        ]
    return JSONResponse({"value": rows})


def _usage(request: Request, kind: str, name: str, used: int, limit: int) -> dict[str, Any]:
    """One row; a limit of -1 means that there is none."""
    return {
        "id": f"/subscriptions/{cloud_of(request).addresses.subscription}/usages/{name.replace(' ', '_')}",
        "type": f"Microsoft.MachineLearningServices/{kind}/usages",
        "unit": "Count",
        "currentValue": used,
        "limit": limit,
        "name": {"value": name, "localizedValue": name},
    }


def _document(request: Request, cluster: AmlCompute) -> dict[str, Any]:
    cloud = cloud_of(request)
    properties = {
        "computeType": "AmlCompute",
        "computeLocation": cluster.location,
        "provisioningState": cluster.state,
        "provisioningErrors": cluster.errors or None,
        "createdOn": cluster.times.created,
        "modifiedOn": cluster.times.modified,
        "isAttachedCompute": False,
        "disableLocalAuth": True,
        "properties": {**cluster.properties, "allocationState": "Steady", "currentNodeCount": 0},
    }
    identity = f"{cloud.addresses.workspace_id}/computes/{cluster.name}"
    return document(
        identity,
        "workspaces/computes",
        properties,
        cluster.times,
        location=cluster.location,
        tags=cluster.tags,
        **({"identity": cluster.identity} if cluster.identity else {}),
    )


async def set_outcome(request: Request) -> Response:
    """POST /_control/computes/{name} {"message": ...}: the cluster's next provisioning fails."""
    body, name = await body_of(request, _PlannedFailure), request.path_params["name"]
    cloud = cloud_of(request)
    cloud.computes.to_fail[name] = body.message
    return JSONResponse({"applied": "later", "matching": [name] if cloud.computes.table.get(name) else []})


class _PlannedFailure(msgspec.Struct, forbid_unknown_fields=True):
    message: str = "Not enough quota."
