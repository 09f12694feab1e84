"""Registry documents: ids are `azureml://registries/...`, tags are text even where they hold lists."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.control.responses import body_of, with_changes
from local.azureml.registry.models import NAME, NAMES, FineTuningModel
from local.azureml.wire.documents import document
from local.azureml.wire.errors import ResourceNotFound


async def discover(request: Request) -> Response:
    """GET registrymanagement/v1.0/registries/{registry}/discovery"""
    registry = _check_registry(request)
    addresses = cloud_of(request).addresses
    return JSONResponse(
        {
            "registryName": registry,
            "primaryRegion": addresses.location,
            # The SDK glues text on: it must end with a slash.
            "primaryRegionResourceProviderUri": f"{addresses.base}/",
            "resourceGroup": f"{registry}-registry",
            "subscriptionId": addresses.subscription,
        }
    )


async def list_model_versions(request: Request) -> Response:
    """GET {registry}/models/{name}/versions"""
    registry, name = _check_registry(request), request.path_params["name"]
    rows = [_model_document(request, name, model) for model in cloud_of(request).registry.versions(name, registry)]
    if not rows:
        raise ResourceNotFound(f"Model container with name: {name} not found.")
    # The newest version is the answer to label "latest", archived or not: the real registry does not hide it.
    top = request.query_params.get("$top")
    return JSONResponse({"value": rows[: int(top)] if top else rows})


async def get_model(request: Request) -> Response:
    """GET {registry}/models/{name}/versions/{version}"""
    registry = _check_registry(request)
    name, version = request.path_params["name"], request.path_params["version"]
    model = cloud_of(request).registry.model(name, version, registry)
    if model is None:
        raise ResourceNotFound(f"Model {name} with version {version} not found in registry {registry}.")
    return JSONResponse(_model_document(request, name, model))


async def list_component_versions(request: Request) -> Response:
    """GET {registry}/components/{name}/versions"""
    _check_component(request)
    return JSONResponse({"value": [_component_document(request)]})


async def get_component(request: Request) -> Response:
    """GET {registry}/components/{name}/versions/{version}"""
    component = _check_component(request)
    version = request.path_params["version"]
    # The SDK asks for this version name when neither version nor label is given.
    if version not in (component, "azureml_default"):
        raise ResourceNotFound(f"Component {request.path_params['name']} with version {version} not found.")
    return JSONResponse(_component_document(request))


def _check_registry(request: Request) -> str:
    registry: str = request.path_params["registry"].lower()
    if registry not in NAMES:
        raise ResourceNotFound(f"Registry {registry} was not found.")
    return registry


def _check_component(request: Request) -> str:
    component = cloud_of(request).registry.component
    name = request.path_params["name"]
    if _check_registry(request) != NAME or name != component.name:
        raise ResourceNotFound(f"Component container with name: {name} not found.")
    return component.version


def _component_document(request: Request) -> dict[str, Any]:
    cloud = cloud_of(request)
    component = cloud.registry.component
    specification = {
        **{key: value for key, value in cloud.registry.component_source.items() if key != "steps"},
        "$schema": "https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json",
    }
    properties = {
        "componentSpec": specification,
        "description": component.display_name,
        "isArchived": False,
        "isAnonymous": False,
        "tags": {},
        "properties": {},
    }
    identity = f"azureml://registries/{NAME}/components/{component.name}/versions/{component.version}"
    return document(identity, "registries/components/versions", properties, cloud.started)


def _model_document(request: Request, name: str, model: FineTuningModel) -> dict[str, Any]:
    identity = f"azureml://registries/{model.registry}/models/{name}/versions/{model.version}"
    properties = {
        "modelType": model.kind,
        "modelUri": f"{identity}/",
        "flavors": {"hftransformersv2": {"data": {}}, "python_function": {"data": {}}},
        "description": f"{name}, as the public catalogue describes it.",
        "isArchived": model.archived,
        "isAnonymous": False,
        "tags": _tags(model),
        "properties": _properties(model),
    }
    if model.form == "system_metadata":
        properties[model.spelling] = _system_metadata(model)
    return document(identity, "registries/models/versions", properties, cloud_of(request).started)


def _system_metadata(model: FineTuningModel) -> dict[str, str]:
    """The block that took over from tags and properties. Values are text: dictionaries as JSON, the rest as it is."""
    facts: dict[str, Any] = {
        "textContextWindow": model.context_window,
        "maxOutputTokens": model.max_output_tokens,
        "tasks": {"fineTuningTasks": model.fine_tuning_tasks, "inferenceTasks": model.inference_tasks},
        "supportedComputes": {
            "finetuneComputes": model.finetune_compute,
            "inferenceComputes": model.inference_compute,
        },
        "SKU": {
            "finetuneMinSkuSpec": model.finetune_min_sku_spec,
            "finetuneRecommendedSkus": model.finetune_compute,
            "inferenceMinSkuSpec": model.inference_min_sku_spec,
            "inferenceRecommendedSkus": model.inference_compute,
        },
    }
    if model.lifecycle:
        facts["deprecation"] = model.lifecycle
    return {key: json.dumps(value) if isinstance(value, dict | list) else str(value) for key, value in facts.items()}


def _properties(model: FineTuningModel) -> dict[str, str]:
    common = {"SharedComputeCapacityEnabled": "true", "languages": "en"}
    if model.form == "system_metadata":
        return common
    return {
        **common,
        "finetuning-tasks": ",".join(model.fine_tuning_tasks),
        "finetune-min-sku-spec": model.finetune_min_sku_spec,
        "finetune-recommended-sku": ", ".join(model.finetune_compute),
        "inference-min-sku-spec": model.inference_min_sku_spec,
        "inference-recommended-sku": ", ".join(model.inference_compute),
    }


def _tags(model: FineTuningModel) -> dict[str, str]:
    if model.form == "system_metadata":
        return {"model_specific_defaults": json.dumps(model.model_specific_defaults), **model.other_tags}
    return {
        "author": "Microsoft",
        "license": "mit",
        "task": "chat-completion",
        # Python literals as text: readers use ast.literal_eval, not JSON.
        "finetune_compute_allow_list": repr(model.finetune_compute),
        "inference_compute_allow_list": repr(model.inference_compute),
        "model_specific_defaults": repr(model.model_specific_defaults),
        "textContextWindow": str(model.context_window),
        "maxOutputTokens": str(model.max_output_tokens),
        **model.lifecycle,
        **model.other_tags,
    }


async def publish_model(request: Request) -> Response:
    """PUT /_control/registry/models/{name}: add a version, made of the newest one and the changes sent"""
    registry = cloud_of(request).registry
    name = request.path_params["name"]
    changes = await body_of(request, dict[str, Any])
    newest = next(iter(registry.versions(name, str(changes.get("registry", NAME))) or registry.versions("Phi-4")))
    model = with_changes(newest, changes)
    registry.add_model(name, model)
    return JSONResponse(_model_document(request, name, model))
