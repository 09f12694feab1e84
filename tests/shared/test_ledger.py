"""Rows, and the envelope of every step: conditional writes, faults, wishes recorded meanwhile, who sends messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.errors import (
    Held,
    IllegalTransition,
    LedgerConflict,
    PermanentError,
    ServiceBusy,
    TemporaryError,
    Unknown,
    Waiting,
)
from shared.ledger import EARLY, FAULTS_BEFORE_ATTENTION, INTENT_GRACE, Ledger, Outcome, advance
from shared.lifecycle import DatasetState as D
from shared.lifecycle import SnapshotState as S
from shared.records import HISTORY_KEPT, Entry
from shared.storage import LEASE_SECONDS
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_fault, a_request, a_snapshot
from tests.fakes import START, Clock, FakeStorage, Process

KEY = f"snapshot/{SNAPSHOT}"
FAULT_SECONDS = 30.0


@dataclass
class Hand:
    """A step's hand that does what the test says, and counts."""

    does: Callable[[Any], Outcome]
    is_ready: bool = True
    ends: Outcome | None = None
    acts: int = 0

    def ready(self, row: Any) -> bool:
        return self.is_ready

    def act(self, row: Any, lease: Any) -> Outcome:
        self.acts += 1
        return self.does(row)

    def failed(self, row: Any, error: PermanentError) -> Outcome | None:
        return self.ends


@dataclass
class Desk:
    """A ledger over in-memory storage, with one row, and what was told of it."""

    clock: Clock = field(default_factory=Clock)
    told: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage = FakeStorage(self.clock, Process())
        fake: Any = self.storage
        self.ledger = Ledger(fake, self.clock)

    def keep(self, row: Any) -> Any:
        """Creates the row as it is, and forgets the message of its creation."""
        kept = self.ledger.create(row)
        self.storage.messages.clear()
        return kept.row

    def row(self, key: str = KEY) -> Any:
        return self.ledger.read(key).row

    def advance(self, hands: dict[str, Hand], message: str = KEY) -> str:
        every = {"snapshot": hands, "dataset": hands}
        return advance(self.ledger, message, every, FAULT_SECONDS, lambda *what: self.told.append(what))

    def looks(self) -> list[tuple[float, str]]:
        """What is in the queue, in seconds from now, but for the watch that is set over an intent at the start."""
        return [(at - self.clock(), message) for at, _, message in self.storage.messages if at != START + INTENT_GRACE]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _validates(**more: Any) -> dict[str, Hand]:
    return {"validate": Hand(lambda row: Outcome(S.VALIDATED, "fine", **more))}


def _raises(error: Exception, **more: Any) -> dict[str, Hand]:
    def does(row: Any) -> Outcome:
        raise error

    return {"validate": Hand(does, **more)}


# --- rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [a_snapshot(S.VALIDATING, options=None, overrides=("bad_rows",)), a_dataset(requested=a_request())],
    ids=["snapshot", "dataset"],
)
def test_a_row_is_read_as_it_was_written(desk: Desk, row: Any) -> None:
    kept = desk.ledger.create(row)
    assert desk.ledger.read(row.key).row == kept.row == row
    assert desk.ledger.read(row.key).etag == kept.etag


def test_a_row_is_created_once_and_its_creator_enqueues_its_look(desk: Desk) -> None:
    desk.ledger.create(a_snapshot(next_look_at=START + 5))
    assert desk.looks() == [(5, KEY)]
    with pytest.raises(LedgerConflict):
        desk.ledger.create(a_snapshot(attempt=2))
    assert desk.row().attempt == 1
    assert desk.looks() == [(5, KEY)]


def test_a_write_loses_against_one_that_came_between(desk: Desk) -> None:
    desk.keep(a_snapshot())
    mine, theirs = desk.ledger.read(KEY), desk.ledger.read(KEY)
    desk.ledger.write(theirs, theirs.row.but(attempt=2))
    with pytest.raises(LedgerConflict):
        desk.ledger.write(mine, mine.row.but(attempt=3))
    assert desk.row().attempt == 2


def test_a_change_is_made_again_on_the_row_that_came_between(desk: Desk) -> None:
    desk.keep(a_dataset())
    seen = []

    def edit(row: Any) -> Any:
        seen.append(row.last_asked_at)
        if len(seen) == 1:
            desk.ledger.change(row.key, lambda r: r.but(last_asked_at=5.0))
        return row.but(cut_test=0.5)

    row = desk.ledger.change(f"dataset/{DATASET}", edit).row
    assert seen == [0.0, 5.0]
    assert (row.last_asked_at, row.cut_test) == (5.0, 0.5)


def test_a_change_of_nothing_writes_nothing(desk: Desk) -> None:
    desk.keep(a_dataset())
    before = desk.ledger.read(f"dataset/{DATASET}").etag
    assert desk.ledger.change(f"dataset/{DATASET}", lambda row: row.but()).etag == before


def test_a_listing_tells_what_is_due_without_reading_rows(desk: Desk) -> None:
    desk.keep(a_snapshot(S.TRAINING, next_look_at=START + 0.25))
    desk.keep(a_snapshot(S.REGISTERED, id=NEWER, next_look_at=None, attention=True))
    desk.keep(a_snapshot(id="support-bot-2-20260921141320-0123abcd", dataset="support-bot-2"))
    desk.keep(a_dataset())
    other, first, second = desk.ledger.list("snapshot")
    assert (first.key, first.state, first.next_look_at, first.attention) == (KEY, "TRAINING", START + 0.25, False)
    assert (second.key, second.state, second.next_look_at, second.attention) == (
        f"snapshot/{NEWER}",
        "REGISTERED",
        None,
        True,
    )
    assert list(desk.ledger.list("snapshot", DATASET)) == [first, second]
    assert list(desk.ledger.list("snapshot", "support-bot-2")) == [other]
    assert [listed.key for listed in desk.ledger.list("dataset")] == [f"dataset/{DATASET}"]


def test_a_dataset_is_made_when_first_asked_for_with_a_seed_of_its_own(desk: Desk) -> None:
    first, again, other = (desk.ledger.dataset(name).row for name in ("aa", "aa", "bb"))
    assert first == again
    assert (first.state, first.name) == (D.EMPTY, "aa")
    assert first.seed != other.seed
    assert not desk.storage.messages


@pytest.mark.parametrize(
    "key",
    [
        "",
        "snapshot/",
        "dataset/",
        "snapshot/x",
        "dataset/X",
        "dataset/../a",
        "row/aa",
        "aa",
        "dataset/aa/bb",
        "x" * 999,
    ],
)
def test_what_is_no_key_is_unknown(desk: Desk, key: str) -> None:
    with pytest.raises(Unknown):
        desk.ledger.read(key)
    assert desk.advance({}, key) == "unknown"
    assert not desk.storage.blobs


def test_an_older_and_a_newer_app_read_each_others_rows(desk: Desk) -> None:
    desk.keep(a_snapshot())
    ((place, stored),) = desk.storage.blobs.items()
    stored.data = stored.data.replace(b'"dataset"', b'"new_field":{"a":[1]},"dataset"')
    assert desk.row().id == SNAPSHOT
    assert b"fault" not in desk.storage.blobs[place].data


# --- one step -------------------------------------------------------------------------------------------------


def test_a_step_writes_its_intent_before_it_acts_and_its_outcome_after(desk: Desk) -> None:
    desk.keep(a_snapshot())
    during = []

    def does(row: Any) -> Outcome:
        during.append(desk.row())
        return Outcome(S.VALIDATED, "fine", {"digest": "d"}, look_in=9)

    assert desk.advance({"validate": Hand(does)}) == "RECEIVED -> VALIDATED"
    (row,) = during
    assert row.state == S.VALIDATING
    assert row.next_look_at == START + INTENT_GRACE
    after = desk.row()
    assert (after.state, after.digest, after.next_look_at) == (S.VALIDATED, "d", START + 9)
    assert [(e.state, e.reason) for e in after.history] == [("RECEIVED", ""), ("VALIDATING", ""), ("VALIDATED", "fine")]
    assert desk.looks() == [(9, KEY)]
    assert desk.told == [(KEY, "RECEIVED", "VALIDATING", ""), (KEY, "VALIDATING", "VALIDATED", "fine")]


def test_an_intent_is_watched_so_that_a_dead_workers_step_is_resumed_without_a_sweep(desk: Desk) -> None:
    desk.keep(a_snapshot())

    class Killed(BaseException):
        pass

    def dies(row: Any) -> Outcome:
        raise Killed

    with pytest.raises(Killed):
        desk.advance({"validate": Hand(dies)})
    ((at, _, message),) = desk.storage.messages
    assert (at - START, message) == (INTENT_GRACE, KEY)
    assert INTENT_GRACE > LEASE_SECONDS
    desk.clock.now = at
    assert desk.advance(_validates(), message) == "VALIDATING -> VALIDATED"


def test_a_watch_over_an_intent_that_was_resolved_does_nothing(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(_validates(look_in=600))
    desk.clock.now += INTENT_GRACE
    assert desk.advance(_validates()) == "not due"


def test_an_interrupted_intent_goes_on_though_nothing_else_is_ready(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING))
    hand = Hand(lambda row: Outcome(S.VALIDATED), is_ready=False)
    assert desk.advance({"validate": hand}) == "VALIDATING -> VALIDATED"


def test_the_first_step_of_the_table_that_is_ready_runs_alone(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATED))
    hands = {
        "submit": Hand(lambda row: Outcome(S.TRAINING)),
        "supersede": Hand(lambda row: Outcome(S.SUPERSEDED)),
    }
    desk.advance(hands)
    assert (hands["supersede"].acts, hands["submit"].acts) == (1, 0)


def test_when_no_step_is_ready_no_further_look_is_planned(desk: Desk) -> None:
    desk.keep(a_snapshot())
    hand = Hand(lambda row: Outcome(S.VALIDATED), is_ready=False)
    assert desk.advance({"validate": hand}) == "nothing to do"
    assert (desk.row().next_look_at, hand.acts, desk.looks(), desk.told) == (None, 0, [], [])


def test_a_look_that_is_planned_for_later_stays_planned_when_a_hint_finds_nothing(desk: Desk) -> None:
    desk.keep(a_snapshot(next_look_at=START + 99))
    desk.advance({}, f"{KEY}?")
    assert desk.row().next_look_at == START + 99


@pytest.mark.parametrize(
    ("look", "hint", "done"),
    [
        (0.0, "", "RECEIVED -> VALIDATED"),
        (-999.0, "", "RECEIVED -> VALIDATED"),
        (EARLY, "", "RECEIVED -> VALIDATED"),
        (EARLY + 0.1, "", "not due"),
        (999.0, "", "not due"),
        (None, "", "not due"),
        (999.0, "?", "RECEIVED -> VALIDATED"),
        (None, "?", "RECEIVED -> VALIDATED"),
    ],
)
def test_a_message_acts_when_its_time_has_come_and_a_hint_at_any_time(
    desk: Desk, look: float | None, hint: str, done: str
) -> None:
    desk.keep(a_snapshot(next_look_at=None if look is None else START + look))
    assert desk.advance(_validates(), KEY + hint) == done


@pytest.mark.parametrize("hint", ["", "?"])
def test_a_row_that_waits_for_a_person_is_left_alone(desk: Desk, hint: str) -> None:
    row = desk.keep(a_snapshot(attention=True))
    hands = _validates()
    assert desk.advance(hands, KEY + hint) == "waits for a person"
    assert (hands["validate"].acts, desk.row()) == (0, row)


def test_a_row_whose_lease_is_held_is_left_to_its_holder(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.storage.hold(SNAPSHOT)
    hands = _validates()
    assert desk.advance(hands) == "held elsewhere"
    assert hands["validate"].acts == 0


@pytest.mark.parametrize(("hint", "again"), [("", 1), ("?", 0)])
def test_a_planned_look_at_a_held_row_is_not_lost_and_a_hint_is_not_multiplied(
    desk: Desk, hint: str, again: int
) -> None:
    desk.keep(a_snapshot())
    desk.storage.hold(SNAPSHOT)
    assert desk.advance(_validates(), KEY + hint) == "held elsewhere"
    assert [(at - START, message) for at, _, message in desk.storage.messages] == [(INTENT_GRACE, KEY)] * again


def test_an_unknown_row_takes_no_lease(desk: Desk) -> None:
    assert desk.advance(_validates()) == "unknown"
    assert not desk.storage.leases


@pytest.mark.parametrize("error", [None, ServiceBusy("x"), ValueError("x"), Held("x")], ids=repr)
def test_the_lease_is_given_back_however_a_step_ends(desk: Desk, error: Exception | None) -> None:
    desk.keep(a_snapshot())
    desk.advance(_raises(error) if error else _validates())
    assert not desk.storage.leases


def _moved_before_the_lease(desk: Desk, **changes: Any) -> dict[str, Hand]:
    """Another worker moves the row after it was read and before its lease is free."""
    hold = desk.storage.hold

    def late(name: str) -> Any:
        desk.ledger.change(KEY, lambda row: row.but(**changes))
        return hold(name)

    desk.storage.hold = late  # type: ignore[method-assign]
    return _validates()


def test_what_another_worker_planned_meanwhile_is_not_due_any_more(desk: Desk) -> None:
    desk.keep(a_snapshot())
    hands = _moved_before_the_lease(desk, next_look_at=START + 60)
    assert desk.advance(hands) == "not due"
    assert (hands["validate"].acts, desk.storage.leases, desk.looks()) == (0, {}, [])


def test_a_row_that_came_to_need_a_person_meanwhile_is_left_alone(desk: Desk) -> None:
    desk.keep(a_snapshot())
    hands = _moved_before_the_lease(desk, attention=True)
    assert desk.advance(hands, f"{KEY}?") == "waits for a person"
    assert hands["validate"].acts == 0


def test_a_step_whose_lease_was_lost_while_it_acted_records_nothing(desk: Desk) -> None:
    desk.keep(a_snapshot())

    def does(row: Any) -> Outcome:
        desk.clock.now += 3600
        desk.storage.hold(SNAPSHOT)  # somebody else has it now
        return Outcome(S.VALIDATED)

    assert desk.advance({"validate": Hand(does)}) == "somebody else was first"
    assert (desk.row().state, desk.looks()) == (S.VALIDATING, [])
    assert desk.told == [(KEY, "RECEIVED", "VALIDATING", "")]
    assert desk.storage.leases


@pytest.mark.parametrize("look_in", [0, 60, None])
def test_only_the_write_that_won_sends_a_message(desk: Desk, look_in: float | None) -> None:
    desk.keep(a_snapshot())

    def overtaken(row: Any) -> Outcome:
        kept = desk.ledger.read(KEY)
        entry = Entry(state=S.REJECTED, at=START, reason="by another worker")
        desk.ledger.write(kept, kept.row.but(state=S.REJECTED, history=(*kept.row.history, entry)))
        return Outcome(S.VALIDATED, look_in=look_in, then=("dataset/aa",))

    assert desk.advance({"validate": Hand(overtaken)}) == "somebody else was first"
    assert (desk.row().state, desk.looks(), desk.told) == (S.REJECTED, [], [(KEY, "RECEIVED", "VALIDATING", "")])


def test_other_rows_are_hinted_at_once_the_outcome_is_written(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(_validates(look_in=None, then=("dataset/aa", "dataset/bb")))
    assert desk.looks() == [(0, "dataset/aa?"), (0, "dataset/bb?")]


def test_a_history_stays_short_and_keeps_the_newest(desk: Desk) -> None:
    old = tuple(Entry(state="RECEIVED", at=float(i)) for i in range(HISTORY_KEPT))
    desk.ledger.create(a_snapshot())
    desk.ledger.change(KEY, lambda row: row.but(history=old))
    desk.advance(_validates())
    assert len(desk.row().history) == HISTORY_KEPT
    assert desk.row().reason == "fine"


# --- wishes recorded while a step acts -------------------------------------------------------------------------


def _sleeping(desk: Desk, wish: str, **changes: Any) -> str:
    """A dataset goes to sleep, during which `changes` are recorded."""
    key = str(desk.keep(a_dataset(requested=a_request("sleep"))).key)

    def does(row: Any) -> Outcome:
        desk.ledger.change(key, lambda r: r.but(**changes))
        return Outcome(D.ASLEEP, "done", {"requested": None, "scoring_uri": ""}, look_in=None)

    assert desk.advance({"sleep": Hand(does)}, f"{key}?") == "LIVE -> ASLEEP"
    return key


def test_a_wish_recorded_while_a_step_acts_is_kept_and_looked_at_next(desk: Desk) -> None:
    wish = a_request("retry", snapshot=SNAPSHOT, at=START + 1)
    key = _sleeping(desk, "retry", requested=wish, next_look_at=START + 1)
    row = desk.row(key)
    assert (row.state, row.requested, row.scoring_uri) == (D.ASLEEP, wish, "")
    assert row.next_look_at == START
    assert desk.looks() == [(0, key)]


def test_a_note_recorded_while_a_step_acts_is_kept_beside_its_outcome(desk: Desk) -> None:
    key = _sleeping(desk, "", last_asked_at=START + 7)
    row = desk.row(key)
    assert (row.state, row.requested, row.last_asked_at, row.next_look_at) == (D.ASLEEP, None, START + 7, None)
    assert desk.looks() == []


def test_a_wish_that_the_step_fulfilled_is_over(desk: Desk) -> None:
    assert desk.row(_sleeping(desk, "")).requested is None


# --- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceBusy("HTTP 503"), "ServiceBusy"),
        (TemporaryError("later"), "TemporaryError"),
        (PermanentError("no"), "PermanentError"),
        (KeyError("a defect"), "KeyError"),
        (Unknown("gone"), "Unknown"),
        (LedgerConflict("x"), "LedgerConflict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failing_step_leaves_its_state_and_a_fault_on_record(desk: Desk, error: Exception, kind: str) -> None:
    desk.keep(a_snapshot())
    assert desk.advance(_raises(error)) == "RECEIVED -> VALIDATING"
    row = desk.row()
    assert row.state == S.VALIDATING
    assert row.fault is not None
    assert (row.fault.type, row.fault.message, row.fault.step) == (kind, str(error), "validate")
    assert (row.fault.count, row.fault.since, row.attention) == (1, START, False)
    assert desk.looks() == [(FAULT_SECONDS, KEY)]


def test_faults_in_a_row_wait_longer_each_time_and_then_for_a_person(desk: Desk) -> None:
    desk.keep(a_snapshot())
    delays = []
    for _ in range(FAULTS_BEFORE_ATTENTION):
        desk.advance(_raises(ServiceBusy("HTTP 503")))
        look = desk.row().next_look_at
        delays.append(None if look is None else look - desk.clock())
        desk.clock.now = look or desk.clock.now
    assert delays == [30, 60, 120, 240, None]
    row = desk.row()
    assert (row.attention, row.fault.count, row.fault.since) == (True, FAULTS_BEFORE_ATTENTION, START)
    desk.storage.messages.clear()
    assert desk.advance(_validates(), f"{KEY}?") == "waits for a person"
    assert next(desk.ledger.list("snapshot")).attention


def test_the_services_own_patience_counts_more_than_ours(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(_raises(ServiceBusy("HTTP 429", 7)))
    assert desk.looks() == [(7, KEY)]


def test_a_step_that_works_again_clears_its_fault(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(count=4), waiting="for something"))
    desk.advance(_validates())
    assert (desk.row().fault, desk.row().waiting) == (None, "")


def test_a_fault_of_another_step_is_not_counted_on(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="submit", count=4)))
    desk.advance(_raises(ServiceBusy("x")))
    assert (desk.row().fault.count, desk.row().attention) == (1, False)


def test_what_no_repeat_will_help_ends_with_its_reason_and_without_an_old_fault(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="validate", count=3)))
    ends = Outcome(S.REJECTED, "bad rows", look_in=None)
    assert desk.advance(_raises(PermanentError("no"), ends=ends)) == "VALIDATING -> REJECTED"
    row = desk.row()
    assert (row.reason, row.fault, row.next_look_at) == ("bad rows", None, None)


def test_only_permanent_errors_end_a_row(desk: Desk) -> None:
    desk.keep(a_snapshot())
    for error in (ServiceBusy("x"), ValueError("x")):
        desk.advance(_raises(error, ends=Outcome(S.REJECTED)), f"{KEY}?")
        assert desk.row().state == S.VALIDATING


def test_waiting_for_something_that_was_started_is_no_fault_however_long_it_takes(desk: Desk) -> None:
    desk.keep(a_snapshot(S.VALIDATING, fault=a_fault(step="validate")))
    for _ in range(2 * FAULTS_BEFORE_ATTENTION):
        desk.storage.messages.clear()
        desk.advance(_raises(Waiting("cluster a is Creating", 60)), f"{KEY}?")
        assert desk.looks() == [(60, KEY)]
    row = desk.row()
    assert (row.state, row.waiting, row.fault, row.attention) == (S.VALIDATING, "cluster a is Creating", None, False)


def test_a_long_message_is_cut(desk: Desk) -> None:
    desk.keep(a_snapshot())
    desk.advance(_raises(ValueError("x" * 9000)))
    assert len(desk.row().fault.message) == 500


@pytest.mark.parametrize("wrong", [S.TRAINED, S.REGISTERED, S.RECEIVED, S.CLEANED])
def test_a_step_cannot_take_a_way_that_is_not_in_the_table(desk: Desk, wrong: S) -> None:
    desk.keep(a_snapshot())
    hands = {"validate": Hand(lambda row: Outcome(wrong, changes={"digest": "d"}))}
    desk.advance(hands)
    row = desk.row()
    assert (row.state, row.digest) == (S.VALIDATING, "")
    assert row.fault.type == IllegalTransition.__name__
    assert f"VALIDATING -> {wrong}" in row.fault.message


def test_held_is_nobodys_fault(desk: Desk) -> None:
    desk.keep(a_snapshot())
    assert desk.advance(_raises(Held("the lease was lost"))) == "somebody else was first"
    assert desk.row().fault is None


def test_what_keeps_the_row_from_being_written_is_raised_for_the_platform_to_deliver_again(desk: Desk) -> None:
    desk.keep(a_snapshot())

    def broken(*_: Any) -> str:
        raise ServiceBusy("storage is busy")

    desk.storage.replace = broken  # type: ignore[method-assign, assignment]
    hands = _validates()
    with pytest.raises(ServiceBusy):
        desk.advance(hands)
    assert (hands["validate"].acts, desk.storage.leases, desk.told) == (0, {}, [])
