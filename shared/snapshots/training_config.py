"""What a snapshot's training will be made of: model version, component version and hyperparameters.

Resolved and pinned by the validate step before any money is spent, out of the settings and the snapshot's own
`snapshot.json`. Only reads, so it may be repeated; "latest" may then be another version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.chatdata.formats import printable
from shared.config import hyperparameters
from shared.config.options import MOST_BYTES, parsed
from shared.errors import BadSnapshot
from shared.ledger.rows import Blocker, ModelPin, Snapshot
from shared.snapshots.limits import context_of, policy_of
from shared.training import base_model, preflight

if TYPE_CHECKING:
    from shared.azure.workspace.registry import RegistryModel
    from shared.runtime import Services
    from shared.validation import Policy

_LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Model, component and hyperparameters of one snapshot's training, and the policy its rows must meet.

    `notes` are for whoever reads the report: what of the model's own defaults is not used.
    """

    policy: Policy
    pinned: dict[str, Any]
    """The fields of the snapshot's row."""
    notes: list[str]


def resolve(services: Services, row: Snapshot, before_spending: bool = False) -> TrainingConfig:
    """The training config of a snapshot. Raises PreflightFailed for everything together that cannot be.

    `before_spending`: machines, quota and what the registry says of the model are looked at as well. A file that is no
    options is BadSnapshot at once: nothing else is known then. Also raises LedgerConflict or NotFound when
    `snapshot.json` is not the one that was dropped any more.
    """
    options, problems = _options(services, row), _Problems()
    mend = f"correct it in {_options_path(row)}" if "base_model" in options else "change BASE_MODEL"
    notes: list[str] = []
    model = problems.collect(lambda: _base_model(services, options, mend))
    component = problems.collect(lambda: _component(services))
    values = problems.collect(lambda: _hyperparameters(services, row, options, model, notes))
    policy = problems.collect(lambda: policy_of(services.settings, row, options, model)) if model else None
    if before_spending:
        problems.collect(lambda: preflight.check(services, row, model, mend))
    if model is None or component is None or values is None or policy is None or problems.found:
        raise preflight.PreflightFailed(problems.found)
    pinned = {
        "base_model": ModelPin(
            registry=services.settings.registry_of_models, name=model.name, version=model.version, id=model.id
        ),
        "context_tokens": context_of(model),
        "component": f"{services.settings.component}:{component}",
        "hyperparameters": values.inputs(),
        "note": printable(" ".join(options.get("note", "").split()), _LONGEST_NOTE),
    }
    return TrainingConfig(policy, pinned, notes)


class _Problems:
    """What is wrong, collected so that a person hears of all of it at once."""

    def __init__(self) -> None:
        self.found: list[Blocker] = []

    def collect[T](self, decide: Callable[[], T]) -> T | None:
        """What was decided; None where it cannot be."""
        try:
            return decide()
        except preflight.PreflightFailed as error:
            self.found += error.found
        except BadSnapshot as error:
            self.found.append(Blocker(text=str(error)))
        return None


def _options(services: Services, row: Snapshot) -> dict[str, Any]:
    """What is in the snapshot's `snapshot.json`; nothing without one. Raises BadSnapshot for what it may not hold."""
    if row.options is None:
        return {}
    path, size = row.options.path, row.options.size
    with services.storage.open("snapshots", path, row.options.etag) as file:
        return parsed(file.read(min(size, MOST_BYTES + 1)), path)


def _options_path(row: Snapshot) -> str:
    return row.options.path if row.options else "snapshot.json"


def _base_model(services: Services, options: dict[str, Any], mend: str) -> RegistryModel:
    """The base model, resolved to one version. Raises BadSnapshot when there is none."""
    settings = services.settings
    name = options.get("base_model", settings.base_model)
    default_version = "" if "base_model" in options else settings.base_model_version
    version = options.get("base_model_version", default_version)
    model = services.workspace.registry.model(name, version)
    if model is None:
        asked = f"base model {name}{':' + version if version else ''} in registry {settings.registry_of_models}"
        use = f"use a live one{base_model.alternatives(services, name)}"
        raise BadSnapshot(f"{asked} does not exist, {use}: {mend}")
    return model


def _component(services: Services) -> str:
    """The component's version. Raises BadSnapshot when there is none."""
    settings = services.settings
    component = services.workspace.registry.component(settings.component, settings.component_version)
    if component is None:
        asked = f"component {settings.component} {settings.component_version}".strip()
        raise BadSnapshot(f"{asked} is not in registry {settings.registry}")
    return component


def _hyperparameters(
    services: Services, row: Snapshot, options: dict[str, Any], model: RegistryModel | None, notes: list[str]
) -> hyperparameters.Hyperparameters:
    """The hyperparameters; notes which of the model's defaults are not used. Raises BadSnapshot for the first wrong."""
    defaults, unused = hyperparameters.from_tag(model.tags.get("model_specific_defaults") if model else None)
    if model is not None and unused:
        names = ", ".join(map(printable, unused))
        notes.append(f"not used of the defaults of {model.name}:{model.version}, since no hyperparameters: {names}")
    values = hyperparameters.merged(
        ("the model's tag model_specific_defaults", defaults),
        ("HYPERPARAMETERS", services.settings.hyperparameters),
        (_options_path(row), options.get("hyperparameters", {})),
    )
    hyperparameters.check_limits(
        _options_path(row), options.get("hyperparameters", {}), services.settings.hyperparameter_limits
    )
    hyperparameters.check_together(values)
    return values
