"""Registries: that of the base model that is fine-tuned, and that of the component that trains it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from shared.azure.workspace.names import named
from shared.azure.workspace.translation import or_none, reading
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.azure.workspace.client import AzureMlClient


class RegistryModel(Struct, frozen=True, kw_only=True):
    """A model of the registry: its id, its kind, whether it is archived, its tags and properties (text).

    In 2026 most facts moved from tags and properties to a block of their own, `system_metadata`. They are found here
    under the names they had before, wherever the registry has them now.
    """

    name: str
    version: str
    id: str
    archived: bool
    tags: dict[str, str]
    properties: dict[str, str] = msgspec.field(default_factory=dict)
    kind: str = "mlflow_model"


# Where a fact stands in `system_metadata`, and the tag or property that it was before.
_TAGS = {
    "supportedComputes.finetuneComputes": "finetune_compute_allow_list",
    "supportedComputes.inferenceComputes": "inference_compute_allow_list",
    "textContextWindow": "textContextWindow",
    "maxOutputTokens": "maxOutputTokens",
    "deprecation": "deprecation",
}
_PROPERTIES = {
    "SKU.finetuneMinSkuSpec": "finetune-min-sku-spec",
    "SKU.inferenceMinSkuSpec": "inference-min-sku-spec",
    "SKU.finetuneRecommendedSkus": "finetune-recommended-sku",
    "SKU.inferenceRecommendedSkus": "inference-recommended-sku",
    "tasks.fineTuningTasks": "finetuning-tasks",
    "tasks.inferenceTasks": "inference-tasks",
}


def _facts(answer: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """These facts of a raw answer's block `system_metadata`, as the text they were before; without the block none."""
    block = answer.get("system_metadata") or answer.get("systemMetadata") or {}
    found = {}
    for place, name in names.items():
        outer, _, inner = place.partition(".")
        value = _read(block.get(outer))
        value = value.get(inner) if inner and isinstance(value, dict) else None if inner else value
        if value not in (None, ""):
            as_list = ", ".join(map(str, value)) if isinstance(value, list) and "-" in name else value
            found[name] = as_list if isinstance(as_list, str) else repr(as_list)
    return found


def _read(value: object) -> Any:
    """Values are text: dictionaries and lists as JSON, the rest as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


class RegistryOperations:
    """What is read from registries; nothing is written there. Models may come from another one than components."""

    def __init__(self, client: AzureMlClient, models: str, components: str) -> None:
        self._client, self._models, self._components = client, models, components

    def model(self, name: str, version: str) -> RegistryModel | None:
        """A model by version, or the latest one when the version is empty."""
        self._client.forget_raw()
        with reading(named("base model", name, *_parts(version))):
            model = or_none(lambda: self._client.registry(self._models).models.get(name, **_which(version)))
        if model is None:
            return None
        # The SDK's Model does not show whether it is archived; the answer it is made from does.
        answer = self._client.last_raw().get("properties") or {}
        return RegistryModel(
            name=model.name,
            version=str(model.version),
            id=model.id,
            archived=bool(answer.get("isArchived")),
            tags={**(model.tags or {}), **_facts(answer, _TAGS)},
            properties={**(model.properties or {}), **_facts(answer, _PROPERTIES)},
            kind=str(answer.get("modelType") or model.type or "mlflow_model").lower(),
        )

    def component(self, name: str, version: str) -> str | None:
        """The version of a component that this version, or the latest when it is empty, resolves to."""
        with reading(named("component", name, *_parts(version))):
            found = or_none(lambda: self._client.registry(self._components).components.get(name, **_which(version)))
        return str(found.version) if found else None


def _which(version: str) -> dict[str, str]:
    return {"version": version} if version else {"label": "latest"}


def _parts(version: str) -> tuple[str, ...]:
    return (version,) if version else ()
