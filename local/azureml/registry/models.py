"""The registry's catalogue: facts in two JSON files beside this one.

More base models may be added by tests through the control API; they last as long as the process.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

NAME = "azureml"
# The registries that there are. Components are in the first one only, as in Azure.
NAMES = (NAME, "azureml-meta")
_FOLDER = Path(__file__).parent
_MODEL_ID = re.compile(r"^azureml://registries/([^/]+)/models/([^/]+)/versions/([^/]+)/?$", re.IGNORECASE)


class FineTuningModel(msgspec.Struct, forbid_unknown_fields=True):
    """A model that can be fine-tuned, or once could.

    `form`: where the registry has its facts: in the block `system_metadata`, where they were moved in 2026, or in tags
    and properties, as before. `spelling` is the block's name in the answer.
    """

    version: str
    archived: bool
    finetune_compute: list[str]
    inference_compute: list[str]
    finetune_min_sku_spec: str
    inference_min_sku_spec: str
    context_window: int
    max_output_tokens: int
    model_specific_defaults: dict[str, Any]
    form: Literal["system_metadata", "tags"] = "system_metadata"
    spelling: Literal["system_metadata", "systemMetadata"] = "system_metadata"
    # `mlflow_model`; a `custom_model` goes to the component's pytorch_model_path.
    kind: str = "mlflow_model"
    fine_tuning_tasks: list[str] = msgspec.field(default_factory=lambda: ["chat-completion"])
    inference_tasks: list[str] = msgspec.field(default_factory=lambda: ["chat-completion"])
    lifecycle: dict[str, str] = {}
    other_tags: dict[str, str] = {}
    registry: Literal["azureml", "azureml-meta"] = "azureml"
    # How much disk its files take; 0: nothing to speak of.
    gigabytes: float = 0


class ComponentInput(msgspec.Struct, forbid_unknown_fields=True):
    """One input of the component."""

    type: str
    optional: bool = False
    default: Any = None
    enum: list[str] | None = None
    min: float | None = None
    max: float | None = None


class StepFact(msgspec.Struct):
    """One step of the pipeline component."""

    name: str
    version: str


class Component(msgspec.Struct):
    """The fine-tuning pipeline component."""

    name: str
    version: str
    type: str
    display_name: str
    inputs: dict[str, ComponentInput]
    outputs: dict[str, dict[str, str]]
    steps: list[StepFact]


class Registry:
    """What the registry holds, by name and version."""

    def __init__(self) -> None:
        raw = (_FOLDER / "base_models.json").read_bytes()
        self.models: dict[str, list[FineTuningModel]] = {
            name: [model] for name, model in msgspec.json.decode(raw, type=dict[str, FineTuningModel]).items()
        }
        self.component_source: dict[str, Any] = msgspec.json.decode(
            (_FOLDER / "chat_completion_pipeline.json").read_bytes()
        )
        self.component = msgspec.convert(self.component_source, Component)

    def versions(self, name: str, registry: str = NAME) -> list[FineTuningModel]:
        """All versions of a model in a registry, newest first; empty when the name is unknown there."""
        known = next((key for key in self.models if key.lower() == name.lower()), name)
        return [model for model in self.models.get(known, []) if model.registry == registry.lower()]

    def model(self, name: str, version: str, registry: str = NAME) -> FineTuningModel | None:
        """One version of a model."""
        return next((model for model in self.versions(name, registry) if model.version == version), None)

    def model_at(self, uri: str) -> FineTuningModel | None:
        """The model behind an id, or None."""
        match = _MODEL_ID.match(uri)
        return self.model(match[2], match[3], match[1]) if match else None

    def add_model(self, name: str, model: FineTuningModel) -> None:
        """Publish a version, or replace it; it becomes the newest."""
        others = [known for known in self.models.get(name, []) if known is not self._same(name, model)]
        self.models[name] = [model, *others]

    def _same(self, name: str, model: FineTuningModel) -> FineTuningModel | None:
        return self.model(name, model.version, model.registry)
