"""Machines that are too small for the model are refused before a job is made, each lack by name."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.workspace.compute import MachineSize
from shared.ledger.rows import Blocker, Check
from shared.training import machines
from shared.training.base_model import FINETUNE, INFERENCE
from tests.builders import a_base_model

A100 = MachineSize(
    name="Standard_NC24ads_A100_v4", gpus=1, cores=24, family="standardNCADSA100v4Family", memory_gb=220, disk_gb=64
)
V100 = MachineSize(name="Standard_NC6s_v3", gpus=1, cores=6, family="standardNCSv3Family", memory_gb=112, disk_gb=736)
V100X4 = MachineSize(name="Standard_NC24s_v3", gpus=4, cores=24, family="standardNCSv3Family", memory_gb=448)
SIZES = {size.name.lower(): size for size in (A100, V100, V100X4)}
SPEC = {"finetune-min-sku-spec": "24|1|220|64", "inference-min-sku-spec": "6|1|112|64"}


def _found(size: MachineSize, use: str = FINETUNE, **changes: Any) -> list[Blocker]:
    model = a_base_model(**{"properties": SPEC, **changes})
    return list(machines.too_small(model, SIZES, size, f"SETTING = {size.name}", use))


def test_the_least_machine_is_large_enough() -> None:
    assert _found(A100) == _found(V100, INFERENCE) == []


def test_each_lack_of_a_machine_is_named_with_what_it_has_and_what_it_takes() -> None:
    lacks, gpus = _found(V100)
    assert lacks.text == "SETTING = Standard_NC6s_v3: it has 6 cores of 24, 112 GB of memory of 220 that Phi-4:8 needs"
    assert lacks.check == Check.SIZE
    assert gpus.text == (
        "SETTING = Standard_NC6s_v3: its GPUs have 16 GB and the smallest for Phi-4, Standard_NC24ads_A100_v4, 80 GB"
    )
    assert gpus.check == Check.GPUS


def test_the_disk_counts_as_well() -> None:
    (lack,) = _found(A100.but(disk_gb=32))
    assert "32 GB of disk of 64" in lack.text


def test_serving_is_judged_by_a_least_machine_of_its_own() -> None:
    (lack,) = _found(V100, INFERENCE, properties={"inference-min-sku-spec": "6|2|112|64"})
    assert (lack.check, "it has 1 GPUs and Phi-4:8 needs 2" in lack.text) == (Check.GPUS, True)


def test_the_memory_of_all_gpus_of_a_machine_counts() -> None:
    (lack,) = _found(V100X4)
    assert "its GPUs have 64 GB" in lack.text


@pytest.mark.parametrize("size", [A100.but(memory_gb=0, disk_gb=0, cores=0), V100X4.but(family="of another year")])
def test_what_is_not_known_of_a_machine_is_not_held_against_it(size: MachineSize) -> None:
    assert _found(size) == []


def test_what_is_not_known_of_a_model_is_not_held_against_a_machine() -> None:
    assert _found(V100, properties={}, tags={}) == []


def test_recommended_sizes_tell_the_memory_where_there_is_no_allow_list() -> None:
    (lack,) = _found(V100, tags={}, properties={"finetune-recommended-sku": f"Unknown, {A100.name}"})
    assert lack.check == Check.GPUS


@pytest.mark.parametrize(("disk", "refused"), [(32, True), (58, True), (59, False), (128, False), (0, False)])
def test_the_size_that_prepares_must_hold_the_model_twice(disk: int, refused: bool) -> None:
    size = MachineSize(name="Standard_E4s_v3", gpus=0, cores=4, disk_gb=disk)
    found = list(machines.too_small_to_prepare(a_base_model(), {"standard_e4s_v3": size}, "Standard_E4s_v3"))
    assert bool(found) == refused
    if found:
        text = f"its disk has {disk} GB and the import of Phi-4 takes about 59 GB"
        assert found == [Blocker(text=f"PREPARATION_INSTANCE_TYPE = Standard_E4s_v3: {text}", check=Check.SIZE)]


def test_a_size_for_the_preparation_that_the_region_does_not_offer_is_refused() -> None:
    (found,) = machines.too_small_to_prepare(None, SIZES, "Standard_X1")
    assert "PREPARATION_INSTANCE_TYPE = Standard_X1: the workspace's region does not offer this size" in found.text
