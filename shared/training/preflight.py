"""What stands in a snapshot's way before any money is spent: all of it at once, so that nobody mends one thing a day.

Called when a snapshot is validated (what will not pass by itself refuses it) and again right before a slot for its job
is reserved (what may pass is waited for). It only reads, so it may be repeated.
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.errors import BadSnapshot
from shared.ledger.rows import Blocker, Check
from shared.training import compute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.azure.workspace.compute import MachineSize
    from shared.azure.workspace.registry import RegistryModel
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

# Models of the registry that could be fine-tuned for chat when this was written; asked for before one is named.
_ALTERNATIVES = ("Phi-4", "Phi-4-mini-instruct")
# Keys of the registry tag `deprecation`, a Python dictionary as text, and what ends on each date.
_RETIREMENT_DATES = (("finetuneRetirementDate", "fine-tuned"), ("inferenceRetirementDate", "served"))


class PreflightFailed(BadSnapshot):
    """A snapshot is refused for everything that is wrong at once. `checks`: what of it a person can excuse."""

    def __init__(self, found: Iterable[Blocker]) -> None:
        found = list(found)
        super().__init__(as_text(found))
        self.checks = checks(found)


def check(services: Services, row: Snapshot, model: RegistryModel, mend: str = "change BASE_MODEL") -> list[Blocker]:
    """What stands in the way and may pass by itself. Raises PreflightFailed for all that will not.

    `mend` says where the model is chosen.
    """
    found = blockers(services, row, model, mend)
    if lasting := [blocker for blocker in found if blocker.poll_in is None]:
        raise PreflightFailed(lasting)
    return found


def blockers(services: Services, row: Snapshot, model: RegistryModel, mend: str = "change BASE_MODEL") -> list[Blocker]:
    """All that stands in the way, but for what a person excused."""
    sizes = services.workspace.compute.sizes()
    found = [*_model(services, model, mend), *_machines(services, model, sizes)]
    if Check.QUOTA not in row.overrides:
        found += _quota(services, sizes)
    return [blocker for blocker in found if blocker.check is None or blocker.check not in row.overrides]


def as_text(found: list[Blocker]) -> str:
    """Blockers as one text; numbered when there are several."""
    if len(found) == 1:
        return found[0].text
    return "; ".join(f"({number}) {blocker.text}" for number, blocker in enumerate(found, 1))


def checks(found: Iterable[Blocker]) -> tuple[Check, ...]:
    """The names by which these can be excused."""
    return tuple(sorted({blocker.check for blocker in found if blocker.check is not None}))


def retirement(model: RegistryModel, now: float) -> list[str]:
    """Why a model can no longer be used: archived, or past a date of its registry tag. Empty: it can be used."""
    found = ["is archived"] if model.archived else []
    dates = _dates(model)
    for key, use in _RETIREMENT_DATES:
        date = dates.get(key)
        if date is not None and date.timestamp() <= now:
            found.append(f"cannot be {use} since {date:%Y-%m-%d}")
    return found


def alternative(services: Services, but: str) -> str:
    """` such as <model>`, another model of the registry that can be used now; empty when none is found."""
    for name in dict.fromkeys((services.settings.base_model, *_ALTERNATIVES)):
        if name.lower() != but.lower():
            model = services.workspace.registry.model(name, "")
            if model is not None and not retirement(model, services.clock()):
                return f" such as {name}"
    return ""


def _dates(model: RegistryModel) -> dict[str, datetime]:
    """The dates of the tag. A tag that cannot be read counts as missing: Azure refuses what it no longer serves."""
    try:
        read = ast.literal_eval(model.tags.get("deprecation", "{}"))
        return {key: _utc(text) for key, text in read.items() if key in dict(_RETIREMENT_DATES)}
    except (ValueError, TypeError, AttributeError, SyntaxError, MemoryError, RecursionError):
        return {}


def _utc(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _model(services: Services, model: RegistryModel, mend: str) -> Iterator[Blocker]:
    if why := retirement(model, services.clock()):
        use = f"use a live one{alternative(services, model.name)}: {mend}"
        yield Blocker(text=f"base model {model.name}:{model.version} {' and '.join(why)}; {use}", check=Check.MODEL)


def _machines(services: Services, model: RegistryModel, sizes: Mapping[str, MachineSize]) -> Iterator[Blocker]:
    """Both sizes are checked: one that can train but not serve is not worth training on."""
    given, name = services.settings, services.settings.training_compute
    training, setting = given.training_instance_type, "TRAINING_INSTANCE_TYPE"
    cluster = compute.cluster(services)
    if cluster is not None:
        training, setting = cluster.size, f"TRAINING_COMPUTE = {name}, size"
    if cluster is not None and cluster.state == "Failed":
        why = cluster.errors or "no reason given"
        yield Blocker(text=f"TRAINING_COMPUTE = {name}: its provisioning failed: {why}")
    if cluster is None and name != compute.SERVERLESS and not given.create_compute:
        text = f"TRAINING_COMPUTE = {name}: there is no such cluster; create it, set CREATE_COMPUTE, or use serverless"
        yield Blocker(text=text)
    yield from _training_size(model, sizes, training, setting)
    yield from _size(model, sizes, given.serving_instance_type, "SERVING_INSTANCE_TYPE", compute.INFERENCE)


def _training_size(
    model: RegistryModel, sizes: Mapping[str, MachineSize], name: str, setting: str
) -> Iterator[Blocker]:
    """A size that trains is checked like any other, and needs GPUs."""
    yield from _size(model, sizes, name, setting, compute.FINETUNE)
    size, least = sizes.get(name.lower()), compute.least_gpus(model)
    if size is not None and size.gpus < 1:
        yield Blocker(text=f"{setting} = {name}: this size has no GPU")
    elif size is not None and size.gpus < least:
        text = f"it has {size.gpus} GPUs and {model.name}:{model.version} needs {least} in one machine"
        yield Blocker(text=f"{setting} = {name}: {text}", check=Check.GPUS)


def _size(
    model: RegistryModel, sizes: Mapping[str, MachineSize], name: str, setting: str, tag: str
) -> Iterator[Blocker]:
    """Whether a size is in the model's allow list (a tag) and offered in the region."""
    what, allowed = f"{setting} = {name}", compute.allowed(model, tag)
    use = ", ".join(allowed) or "a newer one"
    if name.lower() in compute.TOO_OLD:
        yield Blocker(text=f"{what}: this size is too old; use one of {use}", check=Check.SIZE)
    elif allowed and name.lower() not in (size.lower() for size in allowed):
        yield Blocker(text=f"{what}: {model.name}:{model.version} allows only {use}", check=Check.SIZE)
    if name.lower() not in sizes:
        yield Blocker(text=f"{what}: the workspace's region does not offer this size")


def _quota(services: Services, sizes: Mapping[str, MachineSize]) -> Iterator[Blocker]:
    """Whether the region's quota has room for what the snapshot takes, as far as Azure says how much there is."""
    usages = services.workspace.quota.usages() or {}
    for need in compute.quota_needs(services, sizes):
        usage = compute.usage_of(need.size, usages)
        if usage is None:  # Azure will say when it is too much
            continue
        text = f"{need.purpose} takes {need.cores} cores of {need.size.family}"
        if need.cores > usage.limit:
            text += f", the region's quota is {usage.limit}: ask Azure for more or choose another size"
            yield Blocker(text=text, check=Check.QUOTA)
        elif not need.held and usage.used + need.cores > usage.limit:
            text += f", of {usage.limit} are {usage.used} in use"
            yield Blocker(text=text, check=Check.QUOTA, poll_in=services.settings.look_seconds)
