"""What a snapshot's training will be made of: model version, component version and hyperparameters.

Resolved and pinned by the validate step before any money is spent, out of the settings and the snapshot's own
`snapshot.json`. Only reads, so it may be repeated; "latest" may then be another version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.chatdata.formats import printable
from shared.config import hyperparameters
from shared.config.options import MOST_BYTES, parsed
from shared.errors import BadSnapshot
from shared.ledger.rows import ModelPin, Snapshot
from shared.snapshots.limits import context_of, policy_of
from shared.training import preflight

if TYPE_CHECKING:
    from shared.azure.workspace.registry import RegistryModel
    from shared.runtime import Services
    from shared.validation import Policy

_LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Model, component and hyperparameters of one snapshot's training, and the policy its rows must meet.

    `model_source` says where the base model is chosen, for whoever has to choose another one.
    """

    model: RegistryModel
    model_source: str
    policy: Policy
    pinned: dict[str, Any]
    """The fields of the snapshot's row."""


def resolve(services: Services, row: Snapshot) -> TrainingConfig:
    """The training config of a snapshot. Raises BadSnapshot, which names the setting or the key, for what cannot be.

    Also raises LedgerConflict or NotFound when `snapshot.json` is not the one that was dropped any more.
    """
    options = _options(services, row)
    model_source = f"correct it in {_options_path(row)}" if "base_model" in options else "change BASE_MODEL"
    model = _base_model(services, options, model_source)
    return TrainingConfig(
        model, model_source, policy_of(services.settings, row, options, model), _pinned(services, row, options, model)
    )


def _options(services: Services, row: Snapshot) -> dict[str, Any]:
    """What is in the snapshot's `snapshot.json`; nothing without one. Raises BadSnapshot for what it may not hold."""
    if row.options is None:
        return {}
    path, size = row.options.path, row.options.size
    with services.storage.open("snapshots", path, row.options.etag) as file:
        return parsed(file.read(min(size, MOST_BYTES + 1)), path)


def _options_path(row: Snapshot) -> str:
    return row.options.path if row.options else "snapshot.json"


def _base_model(services: Services, options: dict[str, Any], model_source: str) -> RegistryModel:
    """The base model, resolved to one version. Raises BadSnapshot when there is none."""
    settings = services.settings
    name = options.get("base_model", settings.base_model)
    default_version = "" if "base_model" in options else settings.base_model_version
    version = options.get("base_model_version", default_version)
    model = services.workspace.registry.model(name, version)
    if model is None:
        asked = f"base model {name}{':' + version if version else ''} in registry {settings.registry}"
        use = f"use a live one{preflight.alternative(services, name)}"
        raise BadSnapshot(f"{asked} does not exist, {use}: {model_source}")
    return model


def _pinned(services: Services, row: Snapshot, options: dict[str, Any], model: RegistryModel) -> dict[str, Any]:
    settings = services.settings
    component = services.workspace.registry.component(settings.component, settings.component_version)
    if component is None:
        asked = f"component {settings.component} {settings.component_version}"
        raise BadSnapshot(f"{asked} is not in registry {settings.registry}")
    values = hyperparameters.merged(
        (
            "the model's tag model_specific_defaults",
            hyperparameters.from_tag(model.tags.get("model_specific_defaults")),
        ),
        ("HYPERPARAMETERS", settings.hyperparameters),
        (_options_path(row), options.get("hyperparameters", {})),
    )
    hyperparameters.check_together(values)
    return {
        "base_model": ModelPin(registry=settings.registry, name=model.name, version=model.version, id=model.id),
        "context_tokens": context_of(model),
        "component": f"{settings.component}:{component}",
        "hyperparameters": values.inputs(),
        "note": printable(" ".join(options.get("note", "").split()), _LONGEST_NOTE),
    }
