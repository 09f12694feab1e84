"""Machines: which size trains, what the model allows, how much quota it takes."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.workspace.compute import Cluster, MachineSize
from shared.errors import AzureFailed, BadSnapshot
from shared.ledger.rows import Snapshot
from shared.training import compute
from tests.builders import a_snapshot
from tests.fake_workspace import READER
from tests.fakes import GPU, World

OTHER = "Standard_ND96asr_v4"
T4 = MachineSize(name="Standard_NC16as_T4_v3", gpus=1, cores=16, family="standard NCASv3_T4 Family")


def _with_cluster(state: str = "Succeeded", **settings: Any) -> World:
    world = World(settings={"training_compute": "gpus", **settings})
    world.workspace.compute.clusters["gpus"] = Cluster(name="gpus", size=GPU.upper(), state=state)
    return world


@pytest.mark.parametrize("spelling", [GPU, GPU.lower(), GPU.upper()])
def test_a_size_of_the_region_trains_however_it_is_spelled(spelling: str) -> None:
    found = compute.training_size(World(settings={"training_instance_type": spelling}).services)
    assert (found.name, found.gpus, found.cores) == (GPU, 1, 24)


def test_a_size_that_the_region_does_not_offer_cannot_train() -> None:
    with pytest.raises(BadSnapshot, match=f"does not offer {OTHER}"):
        compute.training_size(World(settings={"training_instance_type": OTHER}).services)


@pytest.mark.parametrize(("size", "gpus"), [(GPU, 1), (OTHER, 8), (OTHER.lower(), 8), ("Standard_ND1_of_tomorrow", 1)])
def test_where_sizes_may_not_be_read_a_size_trains_as_the_public_lists_have_it(size: str, gpus: int) -> None:
    world = World(settings={"training_instance_type": size})
    world.workspace.missing.add(READER)
    found = compute.training_size(world.services)
    assert (found.name, found.gpus) == (size, gpus)


def test_a_cluster_trains_with_the_size_it_has() -> None:
    assert compute.training_size(_with_cluster(training_instance_type=OTHER).services).name == GPU


def _waits_for(world: World, row: Snapshot | None = None) -> str:
    return compute.ensure_cluster(world.services, row or a_snapshot())[0]


@pytest.mark.parametrize("state", ["Creating", "Updating", "Deleting"])
def test_a_cluster_that_moves_is_waited_for(state: str) -> None:
    assert _waits_for(_with_cluster(state)) == f"cluster gpus is {state}"


def test_nothing_is_waited_for_without_a_cluster_or_when_it_is_up() -> None:
    assert _waits_for(World()) == _waits_for(_with_cluster()) == ""


def test_a_cluster_that_never_ends_changing_is_given_up_at_the_limit() -> None:
    world = _with_cluster("Updating", deploy_limit_minutes=90)
    row = a_snapshot()
    for _ in range(90):
        row = row.but(pending=compute.ensure_cluster(world.services, row)[1])
        world.clock.now += 60
    world.clock.now += 60
    with pytest.raises(AzureFailed, match=r"cluster gpus .*it is still Updating after 90 minutes"):
        compute.ensure_cluster(world.services, row)


def test_a_cluster_that_azure_accepts_and_never_makes_is_given_up_after_some_tries() -> None:
    world = World(settings={"training_compute": "gpus", "create_compute": True})
    world.workspace.breaks = lambda kind, name: "no such size in this zone"
    row = a_snapshot()
    while world.workspace.accepted != [("cluster", "gpus")] * 5:
        row = row.but(pending=compute.ensure_cluster(world.services, row)[1])
        world.clock.now += 60
    with pytest.raises(AzureFailed, match="asked for 5 times: no such size in this zone"):
        compute.ensure_cluster(world.services, row)


def test_a_missing_cluster_is_created_once_with_the_training_size_and_our_tag() -> None:
    identity = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"
    settings = {"training_compute": "gpus", "create_compute": True, "training_nodes": 3, "training_identity": identity}
    world = World(settings=settings)
    started = []
    start = world.workspace.compute.create

    def starts(name: str, size: str, nodes: int, tags: dict[str, str], identity: str = "") -> str:
        started.append((name, size, nodes, tags, identity))
        return start(name, size, nodes, tags, identity)

    world.workspace.compute.create = starts  # type: ignore[method-assign]
    assert _waits_for(world) == "cluster gpus is being created"
    assert _waits_for(world) == "cluster gpus is Creating"
    world.clock.now += 600
    assert _waits_for(world) == ""
    assert started == [("gpus", GPU, 3, {"droptune.installation": world.services.installation}, identity)]


@pytest.mark.parametrize(("instances", "cores"), [(1, 32), (2, 48), (5, 96), (10, 192)])
def test_a_deployment_takes_a_fifth_more_machines_rounded_up(instances: int, cores: int) -> None:
    assert compute.cores_to_serve(T4, instances) == cores


def test_an_exempt_size_takes_no_more_than_its_machines() -> None:
    assert compute.cores_to_serve(MachineSize(name=GPU, gpus=1, cores=24), 5) == 120
