"""Whether the machines that are set are large enough for the model, by what registry and region say of both.

Called by preflight, with the sizes that the region offers. What is not known of a machine or a model is not held
against it. Only computes, so it may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.azure.workspace.quota import family_key
from shared.ledger.rows import Blocker, Check
from shared.training import base_model
from shared.training.base_model import FINETUNE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.azure.workspace.compute import MachineSize
    from shared.azure.workspace.registry import RegistryModel

# Memory of one GPU in GB, by machine family as `family_key` spells it. Azure's list of sizes does not have it.
_GPU_MEMORY = {
    "standardncfamily": 12,
    "standardncsv3family": 16,
    "standardndsv2family": 32,
    "standardncasv3t4family": 16,
    "standardnvadsa10v5family": 24,
    "standardncadsa100v4family": 80,
    "standardndasv4a100family": 40,
    "standardndamsv4a100family": 80,
    "standardncadsh100v5family": 94,
    "standardndsh100v5family": 80,
    "standardndish100v5family": 80,
    "standardndsh200v5family": 141,
}
# The import step writes the whole model beside the cache through which it reads it.
_MODEL_COPIES = 2


def too_small(
    model: RegistryModel | None, sizes: Mapping[str, MachineSize], size: MachineSize, what: str, use: str
) -> Iterator[Blocker]:
    """What a size lacks to fine-tune or serve the model (`use`, the tag with its sizes): cores, GPUs, memory, disk.

    `what` names the setting and its value.
    """
    if use == FINETUNE and size.gpus < 1:
        yield Blocker(text=f"{what}: this size has no GPU")
    elif model is not None:
        yield from _lacks(model, size, what, use)
        if use == FINETUNE:
            yield from _gpu_memory(model, sizes, size, what)


def too_small_to_prepare(model: RegistryModel | None, sizes: Mapping[str, MachineSize], name: str) -> Iterator[Blocker]:
    """Whether the size that imports the model is offered, and has room for two of the model."""
    what, size = f"PREPARATION_INSTANCE_TYPE = {name}", sizes.get(name.lower())
    if size is None:
        yield Blocker(text=f"{what}: the workspace's region does not offer this size")
    elif model is not None and 0 < size.disk_gb < (needed := _MODEL_COPIES * base_model.gigabytes(model.name)):
        text = f"its disk has {size.disk_gb:.0f} GB and the import of {model.name} takes about {needed:.0f} GB"
        yield Blocker(text=f"{what}: {text}", check=Check.SIZE)


def gpu_memory_gb(size: MachineSize) -> int:
    """The memory of all GPUs of a machine; 0: not known."""
    return size.gpus * _GPU_MEMORY.get(family_key(size.family), 0)


def _lacks(model: RegistryModel, size: MachineSize, what: str, use: str) -> Iterator[Blocker]:
    """The registry's least machine against this one. Few GPUs can be excused apart from the rest."""
    least = base_model.minimum_size(model, use)
    needs = f"{model.name}:{model.version} needs"
    if size.gpus < least.gpus:
        text = f"it has {size.gpus} GPUs and {needs} {least.gpus} in one machine"
        yield Blocker(text=f"{what}: {text}", check=Check.GPUS)
    amounts = (
        ("cores", size.cores, least.cores),
        ("GB of memory", size.memory_gb, least.memory_gb),
        ("GB of disk", size.disk_gb, least.disk_gb),
    )
    if short := [f"{has:.0f} {unit} of {wanted}" for unit, has, wanted in amounts if 0 < has < wanted]:
        yield Blocker(text=f"{what}: it has {', '.join(short)} that {needs}", check=Check.SIZE)


def _gpu_memory(
    model: RegistryModel, sizes: Mapping[str, MachineSize], size: MachineSize, what: str
) -> Iterator[Blocker]:
    """The GPUs of a machine against those of the smallest that the registry names for the model."""
    known = [sizes[name.lower()] for name in base_model.suited(model, FINETUNE) if name.lower() in sizes]
    named = [other for other in known if gpu_memory_gb(other)]
    least = min(named, key=gpu_memory_gb, default=None)
    has = gpu_memory_gb(size)
    if least is not None and 0 < has < gpu_memory_gb(least):
        text = f"its GPUs have {has} GB and the smallest for {model.name}, {least.name}, {gpu_memory_gb(least)} GB"
        yield Blocker(text=f"{what}: {text}", check=Check.GPUS)
