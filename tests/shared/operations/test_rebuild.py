"""A damaged row made anew: a dataset serves again what it served, nothing paid for is lost, or paid for twice."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cli import ledger as command
from shared.errors import NotFound, ServiceBusy
from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DatasetState as D
from shared.operations import actions, damage, nightly, orphans, rebuild, sweep
from shared.snapshots import intake
from tests.builders import DATASET
from tests.fakes import World, dialogues

SET = f"datasets/{DATASET}.json"


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


def _replaced(**values: object) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **values}).encode()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "its end": _cut(0.98),
    "half of it": _cut(0.5),
    "its beginning only": _cut(0.1),
    "all of it": lambda data: b"",
    "no text": lambda data: b"\xff\x00\xfe" * 99,
    "no object": lambda data: b"[1, 2]",
    "an unknown state": _replaced(state="FLYING"),
    "a wrong kind": _replaced(live=7, endpoint={}, traffic="all"),
    "half a character": lambda data: data.replace(b"support-bot", b"support-bot\\ud800", 1),
}


def _served() -> World:
    world = World(settings={"rollback_keep_hours": 24})
    intake.accept_since(world.services)
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    return world


def _damage(world: World, name: str, how: str) -> None:
    stored = world.storage.blobs["ledger", name]
    stored.data = DAMAGE[how](stored.data)


def _dataset(world: World) -> Dataset:
    row: Dataset = world.services.ledger.read(f"dataset/{DATASET}").row
    return row


@pytest.mark.parametrize("how", DAMAGE)
def test_a_dataset_serves_what_it_served(how: str) -> None:
    world = _served()
    before = _dataset(world)
    _damage(world, SET, how)
    assert command.look(world.services, mend=True) == 0
    after = _dataset(world)
    kept = ("state", "endpoint", "scoring_uri", "traffic", "seed")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert after.live is not None
    assert before.live is not None
    assert (after.live.deployment, after.live.model) == (before.live.deployment, before.live.model)
    world.run(600)
    assert (_dataset(world).state, world.snapshots()[0]["state"]) == (D.LIVE, "LIVE")
    sweep.sweep(world.services)
    assert orphans.on_record(world.services).found == ()
    assert len(world.workspace.jobs.submitted) == 1, "nothing is paid for twice"
    assert any(name.startswith(damage.ASIDE) for _, name in world.storage.blobs)


@pytest.mark.parametrize("how", ["its beginning only", "an unknown state"])
def test_a_rollout_under_way_goes_back_to_what_is_live_and_leaves_nothing_behind(how: str) -> None:
    world = _served()
    live = _dataset(world).live
    assert live is not None
    world.drop(f"{DATASET}/2.jsonl", dialogues(40, "2"))
    while _dataset(world).state != D.SHIFTING or len(world.workspace.endpoints.list()[0].traffic) < 2:
        world.run(30)
    _damage(world, SET, how)
    assert command.look(world.services, mend=True) == 0
    world.run()
    row = _dataset(world)
    assert (row.state, row.traffic) == (D.LIVE, {live.deployment: 100})
    (endpoint,) = world.workspace.endpoints.list()
    assert endpoint.traffic == {live.deployment: 100}
    assert [one.name for one in world.workspace.deployments.list(endpoint.name)] == [live.deployment]
    assert rebuild.WHY in next(iter(row.outcomes.values())).reason


def test_what_sleeps_is_woken_by_a_call_if_it_can_be_told_what_it_was() -> None:
    world = _served()
    actions.ask(world.services, DATASET, "sleep", "ada")
    world.run()
    _damage(world, SET, "an unknown state")
    command.look(world.services, mend=True)
    assert _dataset(world).state == D.ASLEEP
    actions.ask(world.services, DATASET, "wake", "ada")
    world.run()
    assert _dataset(world).state == D.LIVE


def test_of_what_sleeps_and_cannot_be_told_any_more_the_newest_model_is_released() -> None:
    world = _served()
    actions.ask(world.services, DATASET, "sleep", "ada")
    world.run()
    _damage(world, SET, "all of it")
    command.look(world.services, mend=True)
    assert _dataset(world).state == D.EMPTY
    sweep.sweep(world.services)
    world.run()
    assert _dataset(world).state == D.LIVE
    assert len(world.workspace.jobs.submitted) == 1


def test_what_is_kept_to_go_back_to_is_still_kept() -> None:
    world = _served()
    world.drop(f"{DATASET}/2.jsonl", dialogues(40, "2"))
    world.run(4000)
    before = _dataset(world)
    assert before.previous is not None
    _damage(world, SET, "an unknown state")
    command.look(world.services, mend=True)
    after = _dataset(world)
    assert (after.state, after.previous, after.kept_until) == (D.LIVE, before.previous, before.kept_until)
    assert actions.ask(world.services, DATASET, "roll_back", "ada").done


def test_nothing_is_written_while_azure_ml_cannot_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    world = _served()
    _damage(world, SET, "half of it")

    def busy() -> list[object]:
        raise ServiceBusy("HTTP 503")

    world.workspace.endpoints.list = busy  # type: ignore[method-assign, assignment]
    assert command.look(world.services, mend=True) == 1
    assert "is left as it is, for Azure ML has to be asked: HTTP 503" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["TRAINING", "LIVE"])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_snapshot_finds_its_job_and_its_model_again(how: str, state: str) -> None:
    world = World()
    intake.accept_since(world.services)
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    while list(world.states().values()) != [state]:
        world.run(30)
    (snapshot,) = world.states()
    _damage(world, f"snapshots/{DATASET}/{snapshot}.json", how)
    command.look(world.services, mend=True)
    sweep.sweep(world.services)
    world.run()
    assert world.states() == {snapshot: "LIVE"}
    assert (len(world.workspace.jobs.submitted), len(world.workspace.models.registered)) == (1, 1)


def test_a_later_attempt_is_found_again_and_what_ended_stays_ended() -> None:
    world = World()
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.workspace.jobs.outcome = lambda name: "Failed" if name.endswith("-1") else "Completed"
    world.run()
    (snapshot,) = world.states()
    name = f"snapshots/{DATASET}/{snapshot}.json"
    stored = world.storage.blobs["ledger", name]
    stored.data = _replaced(report="none")(stored.data)
    command.look(world.services, mend=True)
    assert world.states() == {snapshot: "TRAINING_FAILED"}
    actions.retry(world.services, snapshot, "ada")
    world.run()
    assert world.states() == {snapshot: "LIVE"}
    _damage(world, name, "an unknown state")
    command.look(world.services, mend=True)
    row: Snapshot = world.services.ledger.read(f"snapshot/{snapshot}").row
    assert row.attempt == 2
    world.run()
    assert world.states() == {snapshot: "LIVE"}
    assert len(world.workspace.jobs.submitted) == 2


def test_a_job_that_runs_and_has_no_row_any_more_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    while "TRAINING" not in world.states().values():
        world.run(30)
    (snapshot,) = world.states()
    _damage(world, f"snapshots/{DATASET}/{snapshot}.json", "no text")
    command.look(world.services, mend=True)
    with pytest.raises(NotFound):
        world.services.ledger.read(f"snapshot/{snapshot}")
    assert f"cancel its job unless that is so: {world.workspace.jobs.submitted[0]}" in capsys.readouterr().out


@pytest.mark.parametrize("asleep", [False, True])
def test_a_dataset_whose_row_was_deleted_has_one_again_after_the_next_sweep_or_night(asleep: bool) -> None:
    world = _served()
    if asleep:
        actions.ask(world.services, DATASET, "sleep", "ada")
        world.run()
    before = _dataset(world)
    del world.storage.blobs["ledger", SET]
    if asleep:  # nothing of it is up, and nothing of it is open
        nightly.every_night(world.services)
    sweep.sweep(world.services)
    world.run()
    after = _dataset(world)
    assert (after.state, after.endpoint, after.seed) == (D.LIVE, before.endpoint, before.seed)
    assert list(world.states().values()) == ["LIVE"]
    assert len(world.workspace.jobs.submitted) == 1
    assert orphans.on_record(world.services).found == ()


def test_an_upload_that_finds_no_row_of_its_dataset_makes_one_that_knows_the_models_there_are() -> None:
    world = _served()
    (snapshot,) = world.states()
    del world.storage.blobs["ledger", SET]
    assert world.services.ledger.dataset(DATASET).row.newest_registered == snapshot
    world.run()
    assert world.states() == {snapshot: "LIVE"}
    assert len(world.workspace.endpoints.list()) == 1


def test_of_a_ledger_that_was_deleted_as_a_whole_what_costs_money_is_told_and_nothing_is_removed() -> None:
    world = _served()
    endpoint = _dataset(world).endpoint
    for container, name in list(world.storage.blobs):
        if container == "ledger":
            del world.storage.blobs[container, name]
    for _ in range(6):
        sweep.sweep(world.services)
        world.clock.now += 86_400
    assert [orphan.endpoint for orphan in orphans.on_record(world.services).found] == [endpoint]
    assert world.workspace.endpoints.get(endpoint) is not None


@pytest.mark.parametrize("name", [SET, "snapshot"], ids=["made anew", "set aside"])
def test_of_two_who_mend_at_once_one_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    world = _served()
    (snapshot,) = world.states()
    name = SET if name == SET else f"snapshots/{DATASET}/{snapshot}.json"
    _damage(world, name, "an unknown state" if name == SET else "no text")
    reading, found = world.storage.read, list[str]()

    def read(container: str, blob: str) -> tuple[bytes, str]:
        given = reading(container, blob)
        if blob == name and not found:
            found.append(blob)
            assert command.look(world.services, mend=True) == 0
        return given

    world.storage.read = read  # type: ignore[method-assign, assignment]
    one = damage.DamagedBlob(blob=f"ledger/{name}", why="x")
    said = damage.mend(world.services, one)
    assert ("was changed meanwhile: look again" if name == SET else "is set aside") in said
    sweep.sweep(world.services)
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    assert len(world.workspace.jobs.submitted) == 1
