"""Machines: what is refused before any money is spent, and with which words."""

from __future__ import annotations

from typing import Any

import pytest

from shared import compute
from shared.errors import BadSnapshot, Waiting
from shared.records import Compute, Size
from tests.builders import a_base_model
from tests.fakes import GPU, World

OTHER = "Standard_ND96asr_v4"


def _world(**settings: Any) -> World:
    return World(settings=settings)


def _refused(world: World, model: Any = None) -> str:
    with pytest.raises(BadSnapshot) as refused:
        compute.training_size(world.parts, model or a_base_model())
    return str(refused.value)


@pytest.mark.parametrize("spelling", [GPU, GPU.lower(), GPU.upper()])
def test_an_allowed_size_of_the_region_trains_and_serves_however_it_is_spelled(spelling: str) -> None:
    world = _world(training_instance_type=spelling, serving_instance_type=spelling)
    assert compute.training_size(world.parts, a_base_model()) == Size(name=GPU, gpus=1, cores=24)
    assert compute.serving_size(world.parts, a_base_model()).name == GPU


def test_a_model_without_allow_lists_takes_any_size_with_a_gpu() -> None:
    assert compute.training_size(_world().parts, a_base_model(tags={})).gpus == 1


@pytest.mark.parametrize("size", ["standard_nc6", "Standard_NC12", "STANDARD_NC24", "Standard_NC24r"])
def test_the_notebooks_old_sizes_are_refused_even_when_the_model_allows_them(size: str) -> None:
    model = a_base_model(tags={"finetune_compute_allow_list": f"['{size}', '{GPU}']"})
    assert f"TRAINING_INSTANCE_TYPE = {size}: this size is too old" in _refused(
        _world(training_instance_type=size), model
    )


def test_a_size_outside_the_models_list_is_refused_with_the_list() -> None:
    text = _refused(_world(training_instance_type=OTHER))
    assert text == f"TRAINING_INSTANCE_TYPE = {OTHER}: Phi-4:8 allows only {GPU}"


def test_the_serving_size_is_judged_by_the_models_other_list_and_named_by_its_own_setting() -> None:
    tags = {"finetune_compute_allow_list": f"['{GPU}']", "inference_compute_allow_list": f"['{OTHER}']"}
    world = _world()
    assert compute.training_size(world.parts, a_base_model(tags=tags)).name == GPU
    with pytest.raises(BadSnapshot, match=f"SERVING_INSTANCE_TYPE = {GPU}: Phi-4:8 allows only {OTHER}"):
        compute.serving_size(world.parts, a_base_model(tags=tags))


def test_a_size_that_the_region_does_not_offer_is_refused() -> None:
    model = a_base_model(tags={"finetune_compute_allow_list": f"['{OTHER}']"})
    assert "does not offer" in _refused(_world(training_instance_type=OTHER), model)


def test_a_size_without_gpu_cannot_train() -> None:
    world = _world(training_instance_type="Standard_E4s_v3")
    world.workspace.sizes = lambda: {"standard_e4s_v3": Size(name="Standard_E4s_v3", gpus=0, cores=4)}  # type: ignore[method-assign]
    assert "no GPU" in _refused(world, a_base_model(tags={}))


@pytest.mark.parametrize("text", ["5", "{'a': 1}", "'Standard'", "[", "{[]: 1}", "list()", "(" * 400])
def test_an_allow_list_that_is_none_is_refused_and_never_run(text: str) -> None:
    model = a_base_model(tags={compute.FINETUNE: text})
    with pytest.raises(BadSnapshot, match="finetune_compute_allow_list of Phi-4:8 is not a Python list"):
        compute.allowed(model, compute.FINETUNE)


@pytest.mark.parametrize(("text", "sizes"), [("['a', 'b']", ["a", "b"]), ("('a',)", ["a"]), ("[]", []), ("", [])])
def test_an_allow_list_is_a_python_list_as_text(text: str, sizes: list[str]) -> None:
    assert compute.allowed(a_base_model(tags={compute.FINETUNE: text}), compute.FINETUNE) == sizes


def _with_cluster(state: str, size: str = GPU, errors: str = "") -> World:
    world = _world(training_compute="gpus")
    world.workspace.clusters["gpus"] = Compute(name="gpus", size=size, state=state, errors=errors)
    return world


def test_a_cluster_trains_with_the_size_it_has() -> None:
    world = _with_cluster("Succeeded", size=GPU.upper())
    assert compute.training_size(world.parts, a_base_model()).name == GPU


def test_a_cluster_of_a_size_that_the_model_does_not_allow_is_refused() -> None:
    assert "allows only" in _refused(_with_cluster("Succeeded", size=OTHER))


def test_a_cluster_whose_provisioning_failed_is_refused_with_azures_reason() -> None:
    assert "its provisioning failed: no quota" in _refused(_with_cluster("Failed", errors="no quota"))


@pytest.mark.parametrize("state", ["Creating", "Updating", "Deleting"])
def test_a_cluster_that_moves_is_waited_for(state: str) -> None:
    world = _with_cluster(state)
    with pytest.raises(Waiting, match=f"cluster gpus is {state}") as waiting:
        compute.training_size(world.parts, a_base_model())
    assert waiting.value.retry_after == world.parts.settings.look_seconds


def test_a_missing_cluster_is_refused_unless_it_may_be_created() -> None:
    text = _refused(_world(training_compute="gpus"))
    assert "TRAINING_COMPUTE = gpus: there is no such cluster" in text
    assert "CREATE_COMPUTE" in text


def test_a_missing_cluster_is_created_once_with_the_training_size_and_our_tag_and_then_used() -> None:
    world = _world(training_compute="gpus", create_compute=True, training_nodes=3)
    started = []
    start = world.workspace.start_compute

    def starts(name: str, size: str, nodes: int, tags: dict[str, str]) -> None:
        started.append((name, size, nodes, tags))
        start(name, size, nodes, tags)

    world.workspace.start_compute = starts  # type: ignore[method-assign]
    with pytest.raises(Waiting, match="being created"):
        compute.training_size(world.parts, a_base_model())
    world.clock.now += 600
    assert compute.training_size(world.parts, a_base_model()).name == GPU
    assert started == [("gpus", GPU, 3, {"droptune.installation": world.parts.installation})]
