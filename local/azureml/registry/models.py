"""The registry's catalogue: facts in two JSON files beside this one.

More base models may be added by tests through the control API; they last as long as the process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

NAME = "azureml"
_FOLDER = Path(__file__).parent


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

    def versions(self, name: str) -> list[FineTuningModel]:
        """All versions of a model, newest first; empty when the name is unknown."""
        known = next((key for key in self.models if key.lower() == name.lower()), name)
        return self.models.get(known, [])

    def model(self, name: str, version: str) -> FineTuningModel | None:
        """One version of a model."""
        return next((model for model in self.versions(name) if model.version == version), None)

    def add_model(self, name: str, model: FineTuningModel) -> None:
        """Publish a version, or replace it; it becomes the newest."""
        others = [known for known in self.versions(name) if known.version != model.version]
        self.models[name] = [model, *others]
