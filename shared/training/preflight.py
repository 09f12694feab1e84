"""What stands in a snapshot's way before any money is spent: all of it at once, so that nobody mends one thing a day.

Called when a snapshot is validated (what will not pass by itself refuses it) and again right before a place for its job
is reserved (what may pass is waited for). Only reads, so it may be repeated.
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

    from shared.azure.resources import MachineSize, RegistryModel
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services

# Models of the registry that could be fine-tuned for chat when this was written; asked for before one is named.
_ALTERNATIVES = ("Phi-4", "Phi-4-mini-instruct")
# Keys of the registry tag `deprecation`, a Python dictionary as text, and what ends on each date.
_ENDS = (("finetuneRetirementDate", "fine-tuned"), ("inferenceRetirementDate", "served"))


class PreflightFailed(BadSnapshot):
    """A snapshot refused for everything that is wrong at once; `checks` are what a person can excuse."""

    def __init__(self, problems: Iterable[Blocker]) -> None:
        found = list(problems)
        super().__init__(listed(found))
        self.checks = checks(found)


def refuse(services: Services, row: Snapshot, model: RegistryModel, mend: str) -> None:
    """Raises Refusal for all that stands in the way and will not pass by itself."""
    lasting = [p for p in problems(services, row, model, mend) if p.poll_in is None]
    if lasting:
        raise PreflightFailed(lasting)


def problems(services: Services, row: Snapshot, model: RegistryModel, mend: str = "change BASE_MODEL") -> list[Blocker]:
    """All that stands in the way, but for what a person excused. `mend` says where the model is chosen."""
    sizes = services.workspace.sizes()
    found = [*_model(services, model, mend), *_machines(services, model, sizes)]
    if Check.QUOTA not in row.overrides:
        found += _quota(services, sizes)
    return [p for p in found if p.check is None or p.check not in row.overrides]


def listed(problems: list[Blocker]) -> str:
    """Problems as one text; numbered when there are several."""
    if len(problems) == 1:
        return problems[0].text
    return "; ".join(f"({number}) {problem.text}" for number, problem in enumerate(problems, 1))


def checks(problems: Iterable[Blocker]) -> tuple[Check, ...]:
    """The names by which these can be excused."""
    return tuple(sorted({p.check for p in problems if p.check is not None}))


def ended(model: RegistryModel, now: float) -> list[str]:
    """Why a model can no longer be used: archived, or past a date of its registry tag. Empty: it is live."""
    found = ["is archived"] if model.archived else []
    dates = _dates(model)
    for key, what in _ENDS:
        date = dates.get(key)
        if date is not None and date.timestamp() <= now:
            found.append(f"cannot be {what} since {date:%Y-%m-%d}")
    return found


def alternative(services: Services, but: str) -> str:
    """` such as <model>`, a model of the registry that is live now; empty when none is found."""
    for name in dict.fromkeys((services.settings.base_model, *_ALTERNATIVES)):
        if name.lower() != but.lower():
            model = services.workspace.base_model(name, "")
            if model is not None and not ended(model, services.clock()):
                return f" such as {name}"
    return ""


def _dates(model: RegistryModel) -> dict[str, datetime]:
    """The dates of the tag; what cannot be read is as if it were not there: Azure refuses what it no longer serves."""
    try:
        read = ast.literal_eval(model.tags.get("deprecation", "{}"))
        return {key: _utc(text) for key, text in read.items() if key in dict(_ENDS)}
    except (ValueError, TypeError, AttributeError, SyntaxError, MemoryError, RecursionError):
        return {}


def _utc(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _model(services: Services, model: RegistryModel, mend: str) -> Iterator[Blocker]:
    if why := ended(model, services.clock()):
        use = f"use a live one{alternative(services, model.name)}: {mend}"
        yield Blocker(text=f"base model {model.name}:{model.version} {' and '.join(why)}; {use}", check=Check.MODEL)


def _machines(services: Services, model: RegistryModel, sizes: Mapping[str, MachineSize]) -> Iterator[Blocker]:
    """Both sizes: one that can train but not serve is not worth training on."""
    given, name = services.settings, services.settings.training_compute
    training, setting = given.training_instance_type, "TRAINING_INSTANCE_TYPE"
    if name != compute.SERVERLESS:
        found = services.workspace.compute(name)
        if found is None and not given.create_compute:
            text = (
                f"TRAINING_COMPUTE = {name}: there is no such cluster; create it, set CREATE_COMPUTE, or use serverless"
            )
            yield Blocker(text=text)
        if found is not None and found.state == "Failed":
            why = found.errors or "no reason given"
            yield Blocker(text=f"TRAINING_COMPUTE = {name}: its provisioning failed: {why}")
        if found is not None:
            training, setting = found.size, f"TRAINING_COMPUTE = {name}, size"
    yield from _size(model, sizes, training, setting, compute.FINETUNE)
    yield from _size(model, sizes, given.serving_instance_type, "SERVING_INSTANCE_TYPE", compute.INFERENCE)


def _size(
    model: RegistryModel, sizes: Mapping[str, MachineSize], name: str, setting: str, tag: str
) -> Iterator[Blocker]:
    what, listed_sizes = f"{setting} = {name}", compute.allowed(model, tag)
    use = ", ".join(listed_sizes) or "a newer one"
    if name.lower() in compute.OLD:
        yield Blocker(text=f"{what}: this size is too old; use one of {use}", check=Check.SIZE)
    elif listed_sizes and name.lower() not in (s.lower() for s in listed_sizes):
        yield Blocker(text=f"{what}: {model.name}:{model.version} allows only {use}", check=Check.SIZE)
    size = sizes.get(name.lower())
    if size is None:
        yield Blocker(text=f"{what}: the workspace's region does not offer this size")
    elif tag == compute.FINETUNE and size.gpus < 1:
        yield Blocker(text=f"{what}: this size has no GPU")
    elif tag == compute.FINETUNE and size.gpus < (least := compute.least_gpus(model)):
        text = f"{what}: it has {size.gpus} GPUs and {model.name}:{model.version} needs {least} in one machine"
        yield Blocker(text=text, check=Check.GPUS)


def _quota(services: Services, sizes: Mapping[str, MachineSize]) -> Iterator[Blocker]:
    usages = services.workspace.usages() or {}
    for what, size, cores, held in compute.needs(services, sizes):
        usage = compute.usage_of(size, usages)
        if usage is None:  # Azure will say when it is too much
            continue
        text = f"{what} takes {cores} cores of {size.family}"
        if cores > usage.limit:
            text += f", the region's quota is {usage.limit}: ask Azure for more or choose another size"
            yield Blocker(text=text, check=Check.QUOTA)
        elif not held and usage.used + cores > usage.limit:
            text += f", of {usage.limit} are {usage.used} in use"
            yield Blocker(text=text, check=Check.QUOTA, poll_in=services.settings.look_seconds)
