"""An import becomes a snapshot, a part at a time: cut off anywhere, out of bounds, not allowed, asked for twice."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from shared.errors import LeaseHeld, LedgerConflict, NotFound, ServiceBusy
from shared.ledger import imports as ledger
from shared.ledger.imports import ImportRequest
from shared.operations import actions, imports, sweep
from shared.operations.imports import BadImport, ImportNotAllowed
from shared.snapshots import imports as steps
from tests.fakes import FakeChannel, Process, World, dialogues
from tests.story.kills import EVERY_THIRD_CALL, STEP

SOURCE = "owner/alpaca"
ALLOWED = {"import_sources": "owner/*"}
ASKED = ImportRequest(source=SOURCE, dataset="support-bot")


def rows(count: int, word: str = "x") -> list[dict[str, str]]:
    return [{"instruction": f"What is {word}{n}?", "input": "", "output": f"It is {n}."} for n in range(count)]


def _world(process: Process | None = None, channels: Any = None, **settings: Any) -> World:
    world = World(process or Process(), settings={**ALLOWED, **settings}, channels=channels or {})
    world.hub.datasets[SOURCE] = {"train": [rows(20, "a"), rows(20, "b"), rows(5, "c")], "test": [rows(12, "t")]}
    return world


def _imported(world: World, request: ImportRequest = ASKED) -> dict[str, Any]:
    """The import once nothing more comes of it."""
    answer = imports.start(world.services, request, "ada")
    world.run()
    return imports.show(world.services, answer.id)


def _files(world: World) -> dict[str, bytes]:
    return {
        name.rsplit("/", 1)[-1]: stored.data
        for (box, name), stored in world.storage.blobs.items()
        if box == "snapshots"
    }


def test_a_dataset_of_the_hub_becomes_a_snapshot_that_is_served() -> None:
    world = _world()
    shown = _imported(world)
    assert (shown["state"], shown["parts"], shown["revision"]) == ("IMPORTED", {"done": 4, "of": 4}, "main-commit")
    assert shown["rows"]["written"] == {"train": 45, "test": 12}
    assert world.states() == {shown["snapshot"]: "LIVE"}
    files = _files(world)
    assert sorted(files) == [
        *("_SUCCESS", "snapshot.json", "test-00000-of-00001.jsonl"),
        *(f"train-0000{n}-of-00003.jsonl" for n in range(3)),
    ]
    first = json.loads(files["train-00000-of-00003.jsonl"].splitlines()[0])
    assert first == {
        "messages": [{"role": "user", "content": "What is a0?"}, {"role": "assistant", "content": "It is 0."}]
    }
    assert json.loads(files["snapshot.json"]) == {"note": "imported from owner/alpaca at main-commit"}


def test_asking_twice_is_one_import_and_asking_for_something_else_is_another() -> None:
    world = _world()
    first = imports.start(world.services, ASKED, "ada")
    assert imports.start(world.services, ASKED, "bob").id == first.id
    assert imports.start(world.services, ASKED.but(seed=1), "bob").id != first.id
    world.run()
    again = imports.start(world.services, ASKED, "ada")
    assert (again.state, "imported already, as support-bot-" in again.text) == ("IMPORTED", True)
    assert len(imports.newest(world.services)) == 2
    assert imports.newest(world.services, only_open=True) == []


CALLS = (lambda world: (_imported(world), world.process.calls)[1])(_world())


@EVERY_THIRD_CALL
def test_a_kill_at_any_call_ends_in_the_same_snapshot(first: int) -> None:
    whole = _world()
    _imported(whole)
    for call in range(first, CALLS, 6 * STEP):
        world = _world(Process(die_at=call, before=False))
        try:
            shown = _imported(world)
        except Exception as error:
            if world.process.alive:
                raise AssertionError(f"killed at call {call}") from error
            continue  # while it was asked for: whoever asked has no answer
        except BaseException:  # noqa: BLE001 - killed while it was asked for: asking again finds it
            world.process.alive = True
            world.services = world.new_process()
            shown = _imported(world)
        assert shown["state"] == "IMPORTED", f"killed at call {call}"
        assert _files(world) == _files(whole), f"killed at call {call}"
        assert list(world.states().values()) == ["LIVE"], f"killed at call {call}"


def test_a_kill_costs_no_more_than_the_part_it_came_in() -> None:
    world = _world()
    imports.start(world.services, ASKED, "ada")
    world.services.storage.process.die_at = world.process.calls + 60  # type: ignore[attr-defined]
    world.run()
    read = [asked for asked in world.hub.asked if asked != ("train", 0)]
    assert len(read) <= 3 + 1 + 2  # the other parts, one of them twice, and the rows that tell the shape


@pytest.mark.parametrize(
    ("request_", "written"),
    [
        (ASKED.but(fraction=0.5), {"train": 22, "test": 6}),
        (ASKED.but(rows=25), {"train": 25, "test": 12}),
        (ASKED.but(splits=("train",)), {"train": 45}),
    ],
    ids=["half", "25 rows", "one split"],
)
def test_a_sample_is_the_same_each_time(request_: ImportRequest, written: dict[str, int]) -> None:
    first, second = _world(), _world()
    shown = _imported(first, request_)
    assert shown["rows"]["written"] == pytest.approx(written, abs=2)
    _imported(second, request_)
    assert _files(first) == _files(second)


def test_parts_of_a_split_that_is_full_are_not_read() -> None:
    world = _world()
    _imported(world, ASKED.but(rows=20))
    assert ("train", 2) not in world.hub.asked


def test_rows_that_cannot_be_trained_on_are_counted_by_reason() -> None:
    world = _world()
    world.hub.datasets[SOURCE]["train"][0][3] = {"instruction": "", "input": "", "output": "nothing was asked"}
    shown = _imported(world)
    assert sum(shown["rows"]["left_out"].values()) == 1
    assert shown["rows"]["read"] == 57


@pytest.mark.parametrize(
    ("settings", "change", "words"),
    [
        ({"import_max_rows": 30}, {}, "more than IMPORT_MAX_ROWS=30 rows: take a sample"),
        ({"import_max_minutes": 0.0001}, {}, "IMPORT_MAX_MINUTES"),
        ({}, {"source": "owner/nothing"}, "on the Hub is no dataset owner/nothing"),
        ({}, {"splits": ("trian",)}, "did you mean train?"),
        ({}, {"user": ("question",), "assistant": "output"}, "there is no column question"),
    ],
    ids=["too many rows", "too long", "no such dataset", "no such split", "no such column"],
)
def test_what_goes_beyond_a_limit_or_is_not_there_ends_with_a_reason(
    settings: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    world = _world(**settings)
    world.clock.now += 1
    answer = imports.start(world.services, ASKED.but(**change), "ada")
    world.clock.now += 1
    world.run()
    shown = imports.show(world.services, answer.id)
    assert (shown["state"], words in shown["reason"]) == ("IMPORT_FAILED", True), shown["reason"]
    assert (_files(world), world.states()) == ({}, {})


def test_a_part_without_one_good_row_is_ended_by_the_clock_as_well() -> None:
    world = _world()

    def for_ever(dataset: Any, split: str, part: int, parts: int) -> Any:
        while True:
            world.clock.now += 1
            yield {"instruction": "Hi", "output": ""}

    answer = imports.start(world.services, ASKED, "ada")
    steps.go_on(world.services, answer.id)
    world.hub.rows = for_ever  # type: ignore[method-assign]
    storage: Any = world.services.storage
    storage.lease = lambda name: SimpleNamespace(check=lambda: None, release=lambda: None)
    steps.go_on(world.services, answer.id)
    assert "it takes too long" in imports.show(world.services, answer.id)["reason"]


def test_shapes_that_nobody_knows_and_rows_that_are_no_dialogues_end_it() -> None:
    world = _world()
    world.hub.datasets[SOURCE] = {"train": [[{"a": 1, "b": 2}] * 5]}
    assert "in no shape that is known" in _imported(world)["reason"]
    world.hub.datasets[SOURCE] = {"train": [[{"instruction": "Hi", "output": ""}] * 5]}
    assert "none of 5 rows can be trained on" in _imported(world, ASKED.but(seed=2))["reason"]


def test_one_that_failed_is_begun_again_by_asking_again() -> None:
    world = _world(import_max_rows=30)
    assert _imported(world)["state"] == "IMPORT_FAILED"
    world.settings["import_max_rows"] = 1000
    world.services = world.new_process()
    assert _imported(world)["state"] == "IMPORTED"


@pytest.mark.parametrize("with_files", [False, True])
def test_an_import_does_not_bring_back_a_dataset_that_was_deleted_meanwhile(with_files: bool) -> None:
    world = _world()
    world.drop("support-bot/1.jsonl", dialogues(40))
    world.run()
    answer = imports.start(world.services, ASKED, "ada")
    for _ in range(3):  # it is opened, and two of its parts are written
        world.clock.now += 60
        steps.go_on(world.services, answer.id)
    assert imports.show(world.services, answer.id)["parts"] == {"done": 2, "of": 4}
    record, etag = ledger.read(world.services.storage, answer.id)  # it waits, as after a fault of the Hub
    ledger.write(world.services.storage, record.but(poll_at=world.clock() + 900), etag, {})
    assert actions.delete(world.services, "support-bot", "ada", with_files).done
    world.run(until=600)
    assert world.services.ledger.deletions.of("support-bot").ended_at  # type: ignore[union-attr]
    world.clock.now += 900
    steps.go_on(world.services, answer.id)
    world.run(until=9000)
    shown = imports.show(world.services, answer.id)
    assert (shown["state"], world.states()) == ("IMPORT_FAILED", {})
    assert "support-bot was deleted since it was asked for" in shown["reason"]


def test_what_was_imported_before_its_dataset_was_deleted_is_imported_anew() -> None:
    world = _world()
    first = _imported(world)["snapshot"]
    actions.delete(world.services, "support-bot", "ada")
    world.run(until=9000)
    world.clock.now += 60
    shown = _imported(world)
    assert (shown["state"], shown["snapshot"] != first) == ("IMPORTED", True)
    assert world.states() == {shown["snapshot"]: "LIVE"}


def test_a_hub_that_is_away_is_asked_again_and_then_given_up() -> None:
    world = _world()
    world.hub.broken = ServiceBusy("the Hub cannot be read now")
    answer = imports.start(world.services, ASKED, "ada")
    steps.go_on(world.services, answer.id)
    assert "cannot be read now" in imports.show(world.services, answer.id)["waiting"]
    world.run()
    shown = imports.show(world.services, answer.id)
    assert (shown["state"], shown["waiting"]) == ("IMPORT_FAILED", None)
    assert shown["reason"] == "tried 5 times: the Hub cannot be read now"


def test_a_message_that_is_lost_is_made_up_for_by_the_sweep() -> None:
    world = _world()
    answer = imports.start(world.services, ASKED, "ada")
    world.storage.messages.clear()
    assert f"import/{answer.id}" in sweep.sweep(world.services)
    world.run()
    assert imports.show(world.services, answer.id)["state"] == "IMPORTED"


def test_imports_that_wait_for_their_turn_are_not_sent_a_message_by_each_sweep() -> None:
    world = _world()
    for seed in range(3):
        imports.start(world.services, ASKED.but(seed=seed), "ada")
    begun, times = world.clock(), []
    for _ in range(10):
        world.storage.messages.clear()
        world.clock.now += 300
        sent = [key for key in sweep.sweep(world.services) if key.startswith("import/")]
        times += [world.clock() - begun] * (len(sent) == 3)
        assert len(sent) in (0, 3)
    assert times == [300, 600, 1200, 2400]


def test_two_workers_at_once_make_one_snapshot() -> None:
    world = _world()
    answer = imports.start(world.services, ASKED, "ada")
    lease = world.services.storage.lease(f"import-{answer.id}")
    assert steps.go_on(world.services, answer.id) == "held elsewhere"
    lease.release()
    for _ in range(12):
        steps.go_on(world.services, answer.id)
        steps.go_on(world.services, answer.id)
    world.run()
    assert len(world.states()) == 1
    assert steps.go_on(world.services, answer.id) == "has ended"


def test_a_process_is_at_one_import_at_a_time_and_comes_back_to_the_other() -> None:
    world = _world()
    first, second = (imports.start(world.services, ASKED.but(seed=seed), "ada") for seed in (1, 2))
    said = []

    def during(dataset: Any, *more: Any) -> Any:
        said.append(steps.go_on(world.services, second.id))
        return type(world.hub).commit(world.hub, dataset)

    world.hub.commit = during  # type: ignore[method-assign]
    steps.go_on(world.services, first.id)
    assert said == ["another import is at work here"]
    del world.hub.commit
    world.run()
    assert [imports.show(world.services, one.id)["state"] for one in (first, second)] == ["IMPORTED"] * 2


@pytest.mark.parametrize("settings", [{"import_sources": ""}, {"import_sources": "other/*, owner/alpaca2"}])
def test_what_is_not_on_the_list_is_refused_and_leaves_no_trace(settings: dict[str, Any]) -> None:
    world = _world(**settings)
    before = dict(world.storage.blobs)
    with pytest.raises(ImportNotAllowed, match="IMPORT_SOURCES"):
        imports.start(world.services, ASKED, "ada")
    assert (world.storage.blobs, world.storage.messages) == (before, [])


def test_an_import_stops_when_the_list_does_not_name_it_any_more() -> None:
    world = _world()
    answer = imports.start(world.services, ASKED, "ada")
    world.settings["import_sources"] = "other/*"
    world.services = world.new_process()
    world.run()
    assert "does not name owner/alpaca any more" in imports.show(world.services, answer.id)["reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": "No_Name"}, "dataset: 2 to 41"),
        ({"shape": "sharegtp"}, "shape: sharegtp is none of"),
        ({"user": ("question",)}, "go together"),
        ({"options": {"hyperparameter": {}}}, "did you mean 'hyperparameters'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    world = _world()
    with pytest.raises(BadImport, match=words):
        imports.start(world.services, ASKED.but(**change), "ada")
    assert imports.newest(world.services) == []


def test_people_are_told_of_its_end() -> None:
    topic = FakeChannel()
    world = _world(channels={"topic": topic})
    shown = _imported(world)
    (one,) = [one for one in topic.received if one.type == "Droptune.ImportEnded"]
    assert one.subject == f"import/{shown['id']}"
    assert (one.data["state"], one.data["snapshot"]) == ("IMPORTED", shown["snapshot"])


def test_what_ended_long_ago_is_forgotten_and_may_be_imported_anew() -> None:
    world = _world()
    first = _imported(world)
    assert imports.forget(world.services) == []
    world.clock.now += 60 * 86_400
    assert imports.forget(world.services) == [first["id"]]
    world.hub.datasets[SOURCE]["train"][0] = rows(20, "new")
    second = _imported(world)
    assert (second["id"], second["state"]) == (first["id"], "IMPORTED")
    assert second["snapshot"] != first["snapshot"]


@pytest.mark.parametrize("name", ["0123456789abcdef", "../snapshots/x", "", "x" * 500])
def test_an_import_that_nobody_asked_for_is_not_there(name: str) -> None:
    world = _world()
    with pytest.raises(NotFound):
        imports.show(world.services, name)
    assert steps.go_on(world.services, name) == "unknown"


def test_the_end_of_an_import_is_told_although_it_is_asked_for_anew_before_that() -> None:
    topic = FakeChannel()
    world = _world(channels={"topic": topic})
    unknown = ASKED.but(source="owner/none")
    topic.error = "HTTP 503"
    assert _imported(world, unknown)["state"] == "IMPORT_FAILED"
    again = imports.start(world.services, unknown, "bob")
    topic.error = ""
    world.clock.now += 120
    world.run()
    ends = [one for one in topic.received if one.subject == f"import/{again.id}"]
    assert len({one.id for one in ends}) == 2


def _until_written(world: World) -> tuple[Any, str]:
    """An import all of whose parts are written, and its ETag."""
    answer = imports.start(world.services, ASKED, "ada")
    while (found := ledger.read(world.storage, answer.id))[0].done < 4:
        steps.go_on(world.services, answer.id)
    return found


def test_an_import_some_of_whose_files_were_deleted_by_hand_fails_and_says_so() -> None:
    world = _world()
    record, _ = _until_written(world)
    del world.storage.blobs["snapshots", f"{record.folder}/train-00001-of-00003.jsonl"]
    steps.go_on(world.services, record.id)
    shown = imports.show(world.services, record.id)
    assert (shown["state"], shown["snapshot"]) == ("IMPORT_FAILED", None)
    assert "1 of its 4 files were deleted" in shown["reason"]
    assert _files(world) == {}


def test_a_worker_that_was_paused_deletes_nothing_that_another_one_wrote_meanwhile() -> None:
    world = _world()
    record, _ = _until_written(world)
    before = _files(world)
    lease = world.storage.lease("x")
    world.storage.leases.clear()  # it was paused before it listed the folder
    with pytest.raises(LeaseHeld):
        steps._clear(world.services, record, lease)
    first = min(name for box, name in world.storage.blobs if box == "snapshots")
    held = SimpleNamespace(check=lambda: world.storage.put("snapshots", first, b"another's"))  # or just after that
    with pytest.raises(LedgerConflict):
        steps._clear(world.services, record, held)
    assert {*before} == {*_files(world)}
    assert b"another's" in _files(world).values()


def test_a_worker_that_was_paused_sets_no_marker() -> None:
    world = _world()
    record, _ = _until_written(world)
    lease = world.storage.lease("x")
    world.storage.leases.clear()
    with pytest.raises(LeaseHeld):
        steps._completed(world.services, record, lease)
    assert "_SUCCESS" not in _files(world)
