"""Virtual machine sizes: cores, GPUs, memory, local disk. Clusters, jobs and deployments all look here."""

from __future__ import annotations

from pathlib import Path

import msgspec


class VmSize(msgspec.Struct, frozen=True):
    """One virtual machine size, spelt as the service spells it."""

    name: str
    family: str
    vCPUs: int
    gpus: int
    memoryGB: float
    diskGB: float


_SIZES = {
    size.name.lower(): size
    for size in msgspec.json.decode((Path(__file__).parent / "sizes.json").read_bytes(), type=list[VmSize])
}


def all_sizes() -> list[VmSize]:
    """Every size the region offers."""
    return list(_SIZES.values())


def find_size(name: str) -> VmSize | None:
    """The size of that name, whatever its case."""
    return _SIZES.get(name.lower())
