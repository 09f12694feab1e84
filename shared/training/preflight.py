"""What stands in a snapshot's way before any money is spent: all of it at once, so that nobody mends one thing a day.

Called when a snapshot is validated (what will not pass by itself refuses it) and again right before a slot for its job
is reserved (what may pass is waited for). It only reads, so it may be repeated. Machine sizes and quota are read at the
subscription: where the app's identity may not, what is left is checked, and the result says what was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.azure.workspace.quota import TOTAL
from shared.errors import BadSnapshot
from shared.ledger.rows import Blocker, Check
from shared.training import base_model, compute, data_access, estimate, machines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.azure.workspace.compute import Cluster, MachineSize
    from shared.azure.workspace.registry import RegistryModel
    from shared.ledger.rows import Snapshot
    from shared.runtime import Services


class PreflightFailed(BadSnapshot):
    """A snapshot is refused for everything that is wrong at once. `checks`: what of it a person can excuse."""

    def __init__(self, found: Iterable[Blocker]) -> None:
        found = list(found)
        super().__init__(as_text(found))
        self.found, self.checks = found, checks(found)


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """What stands in the way, and what could not be checked, each with the role that is missing."""

    blockers: list[Blocker]
    unchecked: tuple[str, ...] = ()


def check(
    services: Services, row: Snapshot, model: RegistryModel | None, mend: str = "change BASE_MODEL"
) -> PreflightResult:
    """What stands in the way and may pass by itself. Raises PreflightFailed for all that will not.

    `mend` says where the model is chosen; without a model all else is checked.
    """
    found = examine(services, row, model, mend)
    if lasting := [blocker for blocker in found.blockers if blocker.poll_in is None]:
        raise PreflightFailed(lasting)
    return found


def examine(
    services: Services, row: Snapshot, model: RegistryModel | None, mend: str = "change BASE_MODEL"
) -> PreflightResult:
    """All that stands in the way, but for what a person excused."""
    facts, cluster = compute.region(services, with_quota=Check.QUOTA not in row.overrides), compute.cluster(services)
    found = base_model.blockers(services, model, mend) if model else []
    found += _machines(services, model, facts.sizes, cluster)
    found += estimate.blockers(services, row, cluster)
    found += _quota(services, facts, cluster)
    kept = [blocker for blocker in found if blocker.check is None or blocker.check not in row.overrides]
    return PreflightResult(kept, facts.unchecked)


def as_text(found: list[Blocker]) -> str:
    """Blockers as one text; numbered when there are several."""
    if len(found) == 1:
        return found[0].text
    return "; ".join(f"({number}) {blocker.text}" for number, blocker in enumerate(found, 1))


def checks(found: Iterable[Blocker]) -> tuple[Check, ...]:
    """The names by which these can be excused."""
    return tuple(sorted({blocker.check for blocker in found if blocker.check is not None}))


def _machines(
    services: Services, model: RegistryModel | None, sizes: Mapping[str, MachineSize] | None, cluster: Cluster | None
) -> Iterator[Blocker]:
    """All sizes are checked: one that can train but not serve is not worth training on. None: they are not known."""
    given, name = services.settings, services.settings.training_compute
    training, setting = given.training_instance_type, "TRAINING_INSTANCE_TYPE"
    if cluster is not None:
        training, setting = cluster.size, f"TRAINING_COMPUTE = {name}, size"
    if cluster is not None and cluster.state == "Failed":
        why = cluster.errors or "no reason given"
        yield Blocker(text=f"TRAINING_COMPUTE = {name}: its provisioning failed: {why}")
    if cluster is None and name != compute.SERVERLESS and not given.create_compute:
        text = f"TRAINING_COMPUTE = {name}: there is no such cluster; create it, set CREATE_COMPUTE, or use serverless"
        yield Blocker(text=text)
    if cluster is not None and 0 < cluster.most_nodes < given.training_nodes:
        text = f"it has {cluster.most_nodes} machines at most and TRAINING_NODES is {given.training_nodes}"
        yield Blocker(text=f"TRAINING_COMPUTE = {name}: {text}")
    yield from data_access.blockers(services, cluster)
    yield from _size(model, sizes, training, setting, base_model.FINETUNE)
    yield from _size(model, sizes, given.serving_instance_type, "SERVING_INSTANCE_TYPE", base_model.INFERENCE)
    if name == compute.SERVERLESS and sizes is not None:
        yield from machines.too_small_to_prepare(model, sizes, given.preparation_instance_type)


def _size(
    model: RegistryModel | None, sizes: Mapping[str, MachineSize] | None, name: str, setting: str, tag: str
) -> Iterator[Blocker]:
    """Whether a size is in the model's allow list (a tag), offered in the region, and large enough."""
    what, allowed = f"{setting} = {name}", base_model.allowed(model, tag) if model else []
    use = ", ".join(allowed) or "a newer one"
    if name.lower() in compute.TOO_OLD:
        yield Blocker(text=f"{what}: this size is too old; use one of {use}", check=Check.SIZE)
    elif model and allowed and name.lower() not in (size.lower() for size in allowed):
        yield Blocker(text=f"{what}: {model.name}:{model.version} allows only {use}", check=Check.SIZE)
    if sizes is None:
        return
    size = sizes.get(name.lower())
    if size is None:
        yield Blocker(text=f"{what}: the workspace's region does not offer this size")
    else:
        yield from machines.too_small(model, sizes, size, what, tag)


def _quota(services: Services, facts: compute.RegionFacts, cluster: Cluster | None) -> Iterator[Blocker]:
    """Whether the region's quota has room for what the snapshot takes, as far as Azure says how much there is."""
    usages = facts.usages or {}
    for need in compute.quota_needs(services, facts.sizes or {}, cluster):
        bounds = ((need.size.family, compute.usage_of(need.size, usages)), ("all families together", usages.get(TOTAL)))
        for cores_of, usage in bounds:
            if usage is None:  # Azure will say when it is too much
                continue
            text = f"{need.purpose} takes {need.cores} cores of {cores_of}"
            if need.cores > usage.limit:
                text += f", the region's quota is {usage.limit}: ask Azure for more or choose another size"
                yield Blocker(text=text, check=Check.QUOTA)
            elif not need.held and usage.used + need.cores > usage.limit:
                text += f", of {usage.limit} are {usage.used} in use"
                yield Blocker(text=text, check=Check.QUOTA, poll_in=services.settings.look_seconds)
