"""The validate step: what ends a snapshot, what is tried again, and that each reason is the true one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import LedgerConflict, NotFound
from shared.ledger.rows import Snapshot
from shared.ledger.states import SnapshotState as S
from tests.fakes import World, dialogues

FOLDER = "support-bot/one"


def _world(options: bytes = b"") -> World:
    world = World()
    world.drop(f"{FOLDER}/train.jsonl", dialogues(40))
    if options:
        world.drop(f"{FOLDER}/snapshot.json", options)
    world.drop(f"{FOLDER}/_SUCCESS", b"")
    return world


def _row(world: World) -> Snapshot:
    (listed,) = world.services.ledger.list("snapshot")
    row: Snapshot = world.services.ledger.read(listed.key).row
    return row


def _fails(world: World, call: str, error: Exception, container: str) -> None:
    """Has every such call on this container fail."""
    real: Callable[..., Any] = getattr(world.storage, call)

    def failing(where: str, *more: Any, **others: Any) -> Any:
        if where == container:
            raise error
        return real(where, *more, **others)

    setattr(world.storage, call, failing)


@pytest.mark.parametrize("error", [NotFound("nothing is stored"), LedgerConflict("ContainerBeingDeleted")])
@pytest.mark.parametrize(("call", "container"), [("stage_block", "frozen"), ("put", "reports"), ("open", "snapshots")])
def test_what_goes_wrong_beside_the_files_is_no_overwritten_file(call: str, container: str, error: Exception) -> None:
    """A container that is gone is a fault, which a person can mend: the upload is still the one that was dropped."""
    world = _world()
    _fails(world, call, error, container)
    world.run(until=20)
    row = _row(world)
    assert row.state == S.VALIDATING
    assert row.fault is not None
    assert str(error) in row.fault.message


@pytest.mark.parametrize("name", ["train.jsonl", "snapshot.json"])
@pytest.mark.parametrize("act", ["overwritten", "deleted"])
def test_a_file_that_is_changed_before_it_is_read_supersedes_the_snapshot_by_name(name: str, act: str) -> None:
    world = _world(b"{}")
    while world.events:
        world._event(world.events.pop(0))
    if act == "deleted":
        world.storage.delete("snapshots", f"{FOLDER}/{name}")
    else:
        world.storage._set("snapshots", f"{FOLDER}/{name}", b"{}", None)
    world.run()
    row = _row(world)
    assert (row.state, row.reason) == (S.SUPERSEDED, f"{FOLDER}/{name} was {act} while it was read")


@pytest.mark.parametrize("reason", ["is in the archive tier", "is encrypted with a key of the uploader's own"])
def test_a_blob_that_storage_does_not_give_is_refused_for_what_it_is(reason: str) -> None:
    world = _world()
    while world.events:
        world._event(world.events.pop(0))
    world.storage.unreadable["snapshots", f"{FOLDER}/train.jsonl"] = reason
    world.run()
    row = _row(world)
    assert row.state == S.REJECTED
    assert reason in row.reason
    assert f"{FOLDER}/train.jsonl" in row.reason


@pytest.mark.parametrize(
    "options",
    [
        b'{"note": "\\ud83d"}',
        b'{"base_model": "\\ud83d"}',
        b'{"base_model": "a\\nb"}',
        b'{"hyperparameters": {"seed": "1e99"}}',
    ],
)
def test_a_snapshot_json_that_no_row_can_hold_is_refused_at_the_first_pass(options: bytes) -> None:
    world = _world(options)
    world.run()
    row = _row(world)
    assert row.state == S.REJECTED
    assert f"{FOLDER}/snapshot.json: " in row.reason
    assert row.reason.isprintable()
    assert [entry.state for entry in row.history] == ["RECEIVED", "VALIDATING", "REJECTED"]


def test_a_note_is_kept_short_on_one_line_and_without_what_would_do_harm() -> None:
    world = _world(b'{"note": "  first\\n\\nsecond\\u001b[2J\\u202e ' + b"x" * 2000 + b'"}')
    world.run()
    note = _row(world).note
    assert note.startswith("first second\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER} x")
    assert note.isprintable()
    assert len(note) <= 501


def test_staged_blocks_that_are_gone_have_the_files_read_again() -> None:
    world = _world()
    real = world.storage.commit_blocks
    commits = []

    def commit(container: str, name: str, blocks: Any) -> None:
        commits.append(name)
        if len(commits) == 1:
            world.storage.staged.clear()
        real(container, name, blocks)

    world.storage.commit_blocks = commit  # type: ignore[method-assign]
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    assert len(commits) > 3


def test_options_beside_a_file_are_what_is_trained_with() -> None:
    world = World()
    world.drop("support-bot.snapshot.json", b'{"hyperparameters": {"num_train_epochs": 2}, "note": "beside"}')
    world.drop("support-bot.jsonl", dialogues(40))
    world.run(until=20)
    row = _row(world)
    assert (row.hyperparameters["num_train_epochs"], row.note) == (2, "beside")


def test_wrong_options_beside_a_file_are_refused_by_their_name() -> None:
    world = World()
    world.drop("support-bot.snapshot.json", b'{"hyperparameter": {}}')
    world.drop("support-bot.jsonl", dialogues(40))
    world.run(until=20)
    row = _row(world)
    assert row.state == S.REJECTED
    assert "support-bot.snapshot.json: unknown key 'hyperparameter'; did you mean 'hyperparameters'?" in str(row.reason)


def test_a_file_of_another_format_is_refused_with_the_command_that_converts_it() -> None:
    """The reason of the snapshot says what the report says."""
    world = World()
    turns = b'{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}'
    world.drop("support-bot.jsonl", b'{"conversations": [%s]}\n' % turns * 40)
    world.run(until=20)
    row = _row(world)
    assert row.state == S.REJECTED
    assert "rows that look like ShareGPT (conversations)" in row.reason
    assert "`droptune prepare support-bot.jsonl --out FOLDER`" in row.reason
