"""What is refused or waited for before any money is spent: all of it at once, and with which words."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.workspace.compute import Cluster, MachineSize
from shared.azure.workspace.quota import TOTAL, QuotaUsage, family_key
from shared.ledger.rows import Blocker, Check
from shared.training import base_model, preflight
from tests.builders import a_base_model, a_snapshot
from tests.fake_workspace import FAMILY, READER
from tests.fakes import GPU, World

OTHER = "Standard_ND96asr_v4"
DATES = "{'finetuneRetirementDate': '2025-08-30T00:00:00.000000Z', 'inferenceRetirementDate': '2099-01-01T00:00:00Z'}"


def _found(world: World, model: Any = None, *overrides: str) -> list[Blocker]:
    return preflight.examine(world.services, a_snapshot(overrides=overrides), model or a_base_model()).blockers


def _texts(world: World, model: Any = None, *overrides: str) -> list[str]:
    return [problem.text for problem in _found(world, model, *overrides)]


def _with_quota(limit: int, used: int = 0, **settings: Any) -> World:
    world = World(settings=settings)
    world.workspace.quota.allowed = {family_key(FAMILY): QuotaUsage(used=used, limit=limit)}
    return world


def test_nothing_is_in_the_way_of_a_live_model_on_allowed_sizes() -> None:
    world = World()
    assert _found(world) == []
    preflight.check(world.services, a_snapshot(), a_base_model())


def test_a_model_without_allow_lists_takes_any_size_with_a_gpu() -> None:
    assert _found(World(), a_base_model(tags={})) == []


def test_all_that_is_wrong_is_said_together() -> None:
    world = World(settings={"training_instance_type": OTHER, "serving_instance_type": "Standard_NC6"})
    model = a_base_model(name="Phi-3", archived=True)
    with pytest.raises(preflight.PreflightFailed) as refused:
        preflight.check(world.services, a_snapshot(), model, "change BASE_MODEL")
    text = str(refused.value)
    assert text.startswith("(1) base model Phi-3:8 is archived; use a live one such as Phi-4: change BASE_MODEL; (2) ")
    for part in (f"TRAINING_INSTANCE_TYPE = {OTHER}: Phi-3:8 allows only {GPU}", "does not offer", "size is too old"):
        assert part in text
    assert refused.value.checks == (Check.MODEL, Check.SIZE)


# --- the model ------------------------------------------------------------------------------------------------


def test_a_retired_model_says_since_when_and_names_a_live_one() -> None:
    (text,) = _texts(World(), a_base_model(name="Phi-3", tags={"deprecation": DATES}))
    assert text == (
        "base model Phi-3:8 cannot be fine-tuned since 2025-08-30; use a live one such as Phi-4: change BASE_MODEL"
    )


def test_an_alternative_is_named_only_if_the_registry_has_it_live() -> None:
    world = World()
    world.workspace.registry.archived = True
    (text,) = _texts(world, a_base_model(name="Phi-3", archived=True))
    assert "use a live one: change" in text


# --- machines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["standard_nc6", "Standard_NC12", "STANDARD_NC24", "Standard_NC24r"])
def test_the_notebooks_old_sizes_are_refused_even_when_the_model_allows_them(size: str) -> None:
    model = a_base_model(tags={base_model.FINETUNE: f"['{size}', '{GPU}']"})
    found = _texts(World(settings={"training_instance_type": size}), model)
    assert f"TRAINING_INSTANCE_TYPE = {size}: this size is too old; use one of {size}, {GPU}" in found


def test_the_serving_size_is_judged_by_the_models_other_list_and_named_by_its_own_setting() -> None:
    tags = {base_model.FINETUNE: f"['{GPU}']", base_model.INFERENCE: f"['{OTHER}']"}
    assert _texts(World(), a_base_model(tags=tags)) == [f"SERVING_INSTANCE_TYPE = {GPU}: Phi-4:8 allows only {OTHER}"]


def test_a_size_that_the_region_does_not_offer_cannot_be_excused() -> None:
    model = a_base_model(tags={base_model.FINETUNE: f"['{OTHER}']"})
    world = World(settings={"training_instance_type": OTHER})
    (problem,) = _found(world, model, *Check)
    assert (problem.check, problem.poll_in) == (None, None)
    assert "does not offer this size" in problem.text


def test_a_size_without_gpu_cannot_train() -> None:
    world = World(settings={"training_instance_type": "Standard_E4s_v3"})
    sizes = {"standard_e4s_v3": MachineSize(name="Standard_E4s_v3", gpus=0, cores=4), **world.workspace.compute.sizes()}
    world.workspace.compute.sizes = lambda: sizes  # type: ignore[method-assign]
    assert _texts(world, a_base_model(tags={})) == ["TRAINING_INSTANCE_TYPE = Standard_E4s_v3: this size has no GPU"]


def test_a_machine_with_fewer_gpus_than_the_model_needs_is_refused() -> None:
    model = a_base_model(properties={"finetune-min-sku-spec": "24|8|220|64"})
    (problem,) = _found(World(), model)
    assert (problem.check, problem.poll_in) == (Check.GPUS, None)
    assert problem.text == f"TRAINING_INSTANCE_TYPE = {GPU}: it has 1 GPUs and Phi-4:8 needs 8 in one machine"
    assert _found(World(), model, "gpus") == []


def _with_cluster(state: str, size: str = GPU, errors: str = "") -> World:
    world = World(settings={"training_compute": "gpus"})
    world.workspace.compute.clusters["gpus"] = Cluster(name="gpus", size=size, state=state, errors=errors)
    return world


def test_a_cluster_of_a_size_that_the_model_does_not_allow_is_refused() -> None:
    assert f"TRAINING_COMPUTE = gpus, size = {OTHER}: Phi-4:8 allows only {GPU}" in _texts(_with_cluster("", OTHER))


def test_a_cluster_whose_provisioning_failed_is_refused_with_azures_reason() -> None:
    assert "its provisioning failed: no quota" in _texts(_with_cluster("Failed", errors="no quota"))[0]


def test_a_missing_cluster_is_refused_unless_it_may_be_created() -> None:
    (text,) = _texts(World(settings={"training_compute": "gpus"}))
    assert "TRAINING_COMPUTE = gpus: there is no such cluster" in text
    assert "CREATE_COMPUTE" in text
    assert _found(World(settings={"training_compute": "gpus", "create_compute": True})) == []


def test_what_is_wrong_is_found_where_there_is_no_model_to_go_by() -> None:
    world = World(settings={"training_instance_type": OTHER, "serving_instance_type": "Standard_NC6"})
    texts = [problem.text for problem in preflight.examine(world.services, a_snapshot(), None).blockers]
    assert f"TRAINING_INSTANCE_TYPE = {OTHER}: the workspace's region does not offer this size" in texts
    assert any("SERVING_INSTANCE_TYPE = Standard_NC6: this size is too old" in text for text in texts)


def test_a_cluster_with_fewer_machines_than_training_takes_is_refused() -> None:
    world = World(settings={"training_compute": "gpus", "training_nodes": 3})
    world.workspace.compute.clusters["gpus"] = Cluster(name="gpus", size=GPU, state="Succeeded", most_nodes=2)
    assert "TRAINING_COMPUTE = gpus: it has 2 machines at most and TRAINING_NODES is 3" in _texts(world)


# --- data -----------------------------------------------------------------------------------------------------

IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"


def _bare(*stores: str, **settings: Any) -> World:
    """A world whose datastores of these names have no credential."""
    world = World(settings={"training_compute": "gpus", **settings})
    made = world.workspace.datastores.made
    for name in stores:
        made[name] = made[name].but(credential=False)
    return world


def _cluster(world: World, *identities: str) -> World:
    found = Cluster(name="gpus", size=GPU, state="Succeeded", identities=identities, most_nodes=1)
    world.workspace.compute.clusters["gpus"] = found
    return world


def test_serverless_compute_cannot_read_a_datastore_without_a_credential() -> None:
    (problem,) = _found(_bare("droptune_frozen", training_compute="serverless"))
    assert problem.text.startswith(
        "TRAINING_COMPUTE = serverless: serverless compute has no identity, and the datastore droptune_frozen is "
        "without a credential; give the cluster that trains a user-assigned identity"
    )
    assert (problem.check, problem.poll_in) == (Check.DATASTORE, None)
    assert _found(_bare("droptune_frozen", training_compute="serverless"), None, "datastore") == []


def test_a_cluster_without_an_identity_cannot_either_and_one_with_it_can() -> None:
    (text,) = _texts(_cluster(_bare("droptune_frozen", "")))
    assert "the cluster has no managed identity, and the datastores droptune_frozen and workspaceblobstore are" in text
    assert _found(_cluster(_bare("droptune_frozen", ""), IDENTITY)) == []
    assert _found(_cluster(_bare("droptune_frozen", ""), "system")) == []


def test_the_default_datastore_where_models_are_left_counts_as_well() -> None:
    (text,) = _texts(_cluster(_bare("")))
    assert "the datastore workspaceblobstore is without a credential" in text


def test_with_credentials_any_compute_will_do() -> None:
    assert _found(_cluster(_bare())) == _found(_bare(training_compute="serverless")) == []


@pytest.mark.parametrize(("identity", "refused"), [("", True), (IDENTITY, False)])
def test_a_cluster_that_is_to_be_made_needs_an_identity_to_be_made_with(identity: str, refused: bool) -> None:
    world = _bare("droptune_frozen", create_compute=True, training_identity=identity)
    texts = _texts(world)
    assert ["TRAINING_COMPUTE = gpus: it would be made without an identity" in text for text in texts] == [
        True
    ] * refused
    assert len(texts) == int(refused)


@pytest.mark.parametrize(
    ("account", "address", "refused"),
    [
        ("theirs", "https://ours.blob.core.windows.net/ledger", True),
        ("ours", "https://ours.blob.core.windows.net/ledger", False),
        ("ours", "http://127.0.0.1:10000/ours/ledger", False),
        ("theirs", "http://127.0.0.1:10000/ours/ledger", True),
        ("", "https://ours.blob.core.windows.net/ledger", False),
    ],
)
def test_a_datastore_in_another_account_than_the_apps_is_refused(account: str, address: str, refused: bool) -> None:
    world = _bare(training_compute="serverless")
    store = world.workspace.datastores.made["droptune_frozen"]
    world.workspace.datastores.made["droptune_frozen"] = store.but(account=account)
    world.storage.address = address
    found = _found(world)
    assert [problem.check for problem in found] == [Check.DATASTORE] * refused
    if refused:
        assert "it points at the account theirs, and training files are in ours" in found[0].text


def test_a_datastore_that_is_missing_or_of_another_container_is_refused() -> None:
    world = _bare(training_compute="serverless")
    store = world.workspace.datastores.made["droptune_frozen"]
    world.workspace.datastores.made["droptune_frozen"] = store.but(container="snapshots")
    (problem,) = _found(world)
    assert problem.check is None
    assert "it points at the container snapshots, and training files are in frozen" in problem.text
    del world.workspace.datastores.made["droptune_frozen"]
    assert _texts(world) == ["TRAINING_DATASTORE = droptune_frozen: there is no such datastore in the workspace"]


# --- quota ----------------------------------------------------------------------------------------------------


def test_more_than_the_quota_is_refused_for_serving_and_for_training() -> None:
    found = _found(_with_quota(40, training_nodes=2, serving_instances=2))
    assert [p.text for p in found] == [
        f"{what} on 2 x {GPU} takes 48 cores of {FAMILY}, the region's quota is 40: "
        "ask Azure for more or choose another size"
        for what in ("serving", "training")
    ]
    assert {(p.check, p.poll_in) for p in found} == {(Check.QUOTA, None)}


def test_quota_that_others_use_is_waited_for() -> None:
    world = _with_quota(40, used=30)
    found = _found(world)
    assert [p.text for p in found] == [
        f"{what} on 1 x {GPU} takes 24 cores of {FAMILY}, of 40 are 30 in use" for what in ("serving", "training")
    ]
    assert {p.poll_in for p in found} == {world.services.settings.look_seconds}
    preflight.check(world.services, a_snapshot(), a_base_model())


def test_the_last_cores_are_enough() -> None:
    assert _found(_with_quota(40, used=16)) == []


def test_a_cluster_that_exists_holds_its_cores_already() -> None:
    world = _with_quota(40, used=30, training_compute="gpus")
    world.workspace.compute.clusters["gpus"] = Cluster(name="gpus", size=GPU, state="Succeeded")
    assert [p.text.split()[0] for p in _found(world)] == ["serving"]


def test_quota_that_says_nothing_of_the_family_is_left_to_azure() -> None:
    world = World()
    world.workspace.quota.allowed = {}
    assert _found(world) == []


def test_what_the_app_may_not_read_is_not_checked_and_that_is_said_with_the_role() -> None:
    world = _with_quota(0, training_instance_type=OTHER)
    world.workspace.missing.add(READER)
    model = a_base_model(tags={base_model.FINETUNE: f"['{OTHER}']"})
    found = preflight.examine(world.services, a_snapshot(), model)
    assert found.blockers == []
    assert [READER in text for text in found.unchecked] == [True, True]
    (text,) = preflight.examine(world.services, a_snapshot(), a_base_model()).blockers
    assert "allows only" in text.text, "the registry's facts are known all the same"


def test_quota_that_is_excused_is_not_even_asked_for() -> None:
    world = _with_quota(0)
    world.workspace.quota.usages = None  # type: ignore[assignment, method-assign]
    assert _found(world, None, "quota") == []


@pytest.mark.parametrize(("used", "waits"), [(0, False), (90, True)])
def test_the_total_of_all_families_bounds_as_the_familys_own_quota_does(used: int, waits: bool) -> None:
    world = _with_quota(1000)
    assert world.workspace.quota.allowed is not None
    world.workspace.quota.allowed[TOTAL] = QuotaUsage(used=used, limit=100)
    text = f"serving on 1 x {GPU} takes 24 cores of all families together, of 100 are {used} in use"
    assert (text in _texts(world)) == waits


def test_more_than_the_total_is_refused_though_the_family_has_room() -> None:
    world = _with_quota(1000, serving_instances=5)
    assert world.workspace.quota.allowed is not None
    world.workspace.quota.allowed[TOTAL] = QuotaUsage(used=0, limit=100)
    (problem,) = _found(world)
    assert (problem.check, problem.poll_in) == (Check.QUOTA, None)
    assert "takes 120 cores of all families together, the region's quota is 100" in problem.text
