"""Places for training jobs: never more than the limits, never one job twice, and none lost for good."""

from __future__ import annotations

from typing import Any

import pytest

from shared import naming
from shared.azure.workspace.jobs import Job
from shared.errors import Damaged, LedgerConflict
from shared.ledger import budget
from shared.ledger.rows import Check
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from tests.builders import NEWER, SNAPSHOT, a_dataset, a_fault, a_snapshot
from tests.fake_workspace.made import Made
from tests.fakes import START, World

OTHER = "faq-20260921141320-0123abcd"


def _world(**settings: Any) -> World:
    return World(settings={"max_runs": 2, "max_runs_per_dataset": 2, "max_runs_per_day": 4, **settings})


def _job(world: World, snapshot: str = SNAPSHOT) -> str:
    return naming.job(world.services.installation, snapshot, 1)


def _reserve(world: World, snapshot: str = SNAPSHOT, *overrides: str) -> list[str]:
    row = a_snapshot(id=snapshot, dataset=naming.dataset_of(snapshot), overrides=overrides)
    return [p.text for p in world.services.budget.reserve(row, _job(world, snapshot))]


def _audit(world: World) -> list[str]:
    def status_of(name: str) -> str | None:
        job = world.workspace.jobs.get(name)
        return job.status if job else None

    return world.services.budget.audit(status_of)


def _running(world: World) -> list[str]:
    return [run.snapshot for run in world.services.budget.reservations().runs.values() if run.ended is None]


def test_a_slot_is_taken_once_however_often_it_is_asked_for() -> None:
    world = _world()
    assert _reserve(world) == _reserve(world) == []
    assert _running(world) == [SNAPSHOT]


def test_a_slot_taken_long_ago_counts_from_when_its_job_begins() -> None:
    world = _world(max_runs_per_day=1)
    assert _reserve(world) == []
    world.clock.now += 23 * 3600
    assert _reserve(world) == []
    world.clock.now += 2 * 3600
    assert _reserve(world, OTHER) == ["1 jobs began within 24 hours and MAX_RUNS_PER_DAY is 1"]


def test_a_slot_taken_long_ago_is_no_way_around_the_limits() -> None:
    world = _world(max_runs_per_day=1)
    assert _reserve(world) == []
    world.clock.now += 25 * 3600
    assert _reserve(world, OTHER) == []
    assert _reserve(world) == ["1 jobs began within 24 hours and MAX_RUNS_PER_DAY is 1"]
    assert _running(world) == [SNAPSHOT, OTHER]


def test_no_more_run_at_once_than_allowed_and_a_slot_given_back_is_free() -> None:
    world = _world()
    assert _reserve(world) == _reserve(world, OTHER) == []
    assert _reserve(world, NEWER) == ["2 jobs run at once and MAX_RUNS is 2"]
    world.services.budget.release(_job(world))
    assert _reserve(world, NEWER) == []
    assert _running(world) == [OTHER, NEWER]


def test_a_dataset_has_its_own_limit() -> None:
    world = _world(max_runs_per_dataset=1)
    assert _reserve(world) == _reserve(world, OTHER) == []
    assert _reserve(world, NEWER)[1:] == [f"{SNAPSHOT} of this dataset trains and MAX_RUNS_PER_DATASET is 1"]


def test_a_day_has_its_limit_and_ends_24_hours_after_the_first_run() -> None:
    world = _world(max_runs_per_day=1)
    assert _reserve(world) == []
    world.services.budget.release(_job(world))
    row = a_snapshot(id=NEWER)
    (problem,) = world.services.budget.reserve(row, _job(world, NEWER))
    assert problem.text == "1 jobs began within 24 hours and MAX_RUNS_PER_DAY is 1"
    assert (problem.check, problem.poll_in) == (Check.DAILY_RUNS, 900)
    world.clock.now += budget.DAY - 300
    (problem,) = world.services.budget.reserve(row, _job(world, NEWER))
    assert problem.poll_in == 300
    world.clock.now += 300
    assert _reserve(world, NEWER) == []


def test_all_limits_in_the_way_are_said_together() -> None:
    assert (
        len(
            [
                _reserve(w, s)
                for w in [_world(max_runs=1, max_runs_per_dataset=1, max_runs_per_day=1)]
                for s in (SNAPSHOT, NEWER)
            ][1]
        )
        == 3
    )


@pytest.mark.parametrize("excused", [("concurrent_runs",), ("concurrent_runs", "daily_runs")])
def test_a_person_can_excuse_a_limit(excused: tuple[str, ...]) -> None:
    world = _world(max_runs=1, max_runs_per_day=1)
    _reserve(world)
    assert len(_reserve(world, NEWER, *excused)) == 2 - len(excused)


def test_a_slot_given_back_twice_is_given_back_once() -> None:
    world = _world()
    _reserve(world)
    for _ in range(2):
        world.services.budget.release(_job(world))
        world.clock.now += 5
    (run,) = world.services.budget.reservations().runs.values()
    assert run.ended == START
    world.services.budget.release("never-heard-of")


def test_a_job_that_never_began_does_not_count_for_the_day() -> None:
    world = _world(max_runs_per_day=1)
    _reserve(world)
    world.services.budget.release(_job(world), begun=False)
    assert _reserve(world, NEWER) == []


def test_what_ended_over_a_day_ago_is_forgotten_and_what_runs_is_not() -> None:
    world = _world()
    _reserve(world)
    _reserve(world, OTHER)
    world.services.budget.release(_job(world))
    world.clock.now += budget.DAY + 1
    _reserve(world, NEWER)
    assert list(world.services.budget.reservations().runs) == [_job(world, OTHER), _job(world, NEWER)]


def test_of_two_workers_at_the_last_slot_one_gets_it() -> None:
    world = _world(max_runs=1)
    _reserve(world)
    world.services.budget.release(_job(world))
    replace = world.storage.replace
    other: list[str] = []

    def late(*args: Any, **more: Any) -> str:
        world.storage.replace = replace  # type: ignore[method-assign]
        other.extend(_reserve(world, OTHER))
        return replace(*args, **more)

    world.storage.replace = late  # type: ignore[method-assign]
    mine = _reserve(world, NEWER)
    assert (mine, other) == (["1 jobs run at once and MAX_RUNS is 1"], [])
    assert _running(world) == [OTHER]


def test_of_two_workers_at_the_first_slot_ever_one_gets_it() -> None:
    world = _world(max_runs=1)
    create = world.storage.create

    def late(*args: Any, **more: Any) -> str:
        world.storage.create = create  # type: ignore[method-assign]
        assert _reserve(world, OTHER) == []
        raise LedgerConflict("it exists")

    world.storage.create = late  # type: ignore[method-assign]
    assert _reserve(world, NEWER) == ["1 jobs run at once and MAX_RUNS is 1"]


# --- what a crash left behind ---------------------------------------------------------------------------------


def _left(state: S | None, job: str = "", **row: Any) -> World:
    """A world with a slot taken, a row in a state (None: none), and a job in a status (none: no job)."""
    world = _world()
    _reserve(world)
    if state is not None:
        world.services.ledger.create(a_snapshot(state, **row))
    if job:
        name = _job(world)
        world.workspace.jobs.made[name] = Made(Job(name=name, status="", tags={}), START)
        world.workspace.jobs.outcome = lambda _: job
    return world


@pytest.mark.parametrize("state", [S.VALIDATED, S.SUBMITTING, S.TRAINING])
@pytest.mark.parametrize("job", ["", "Running"])
def test_a_slot_that_a_row_still_counts_on_is_kept(state: S, job: str) -> None:
    world = _left(state, job)
    assert _audit(world) == []
    assert _running(world) == [SNAPSHOT]


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("job", ["Completed", "Failed", "Canceled"])
def test_the_slot_of_a_job_that_has_ended_is_given_back_whoever_waits(job: str, attention: bool) -> None:
    world = _left(S.TRAINING, job, attention=attention, fault=a_fault(count=5) if attention else None)
    assert _audit(world) == [_job(world)]
    assert _running(world) == []


@pytest.mark.parametrize("state", [None, S.SUPERSEDED, S.TRAINING_FAILED, S.TRAINED, S.REGISTERED])
@pytest.mark.parametrize("job", ["", "Completed", "Canceled"])
def test_a_slot_that_nothing_stands_for_is_given_back(state: S | None, job: str) -> None:
    world = _left(state, job)
    assert _audit(world) == [_job(world)]
    assert _audit(world) == _running(world) == []
    assert len(world.services.budget.reservations().runs) == (1 if job else 0)


def test_a_slot_whose_job_runs_is_kept_whatever_the_row_says() -> None:
    world = _left(S.TRAINING_FAILED, "Running")
    assert _audit(world) == []


def test_the_slot_of_an_earlier_attempt_is_given_back() -> None:
    world = _left(S.VALIDATED, attempt=2)
    assert _audit(world) == [_job(world)]


def test_a_row_that_waits_for_a_person_keeps_its_slot_for_an_hour() -> None:
    world = _left(S.SUBMITTING, attention=True, fault=a_fault(count=5))
    assert _audit(world) == []
    world.clock.now += budget.ATTENTION_GRACE + 1
    assert _audit(world) == [_job(world)]


def test_a_workspace_that_does_not_answer_gives_nothing_back_of_that_job() -> None:
    world = _left(S.TRAINED)
    _reserve(world, OTHER)
    world.workspace.busy = 1
    assert _audit(world) == [naming.job(world.services.installation, OTHER, 1)]
    assert _running(world) == [SNAPSHOT]


# --- a damaged blob ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"{", b'{"runs": 7}', b"\xff"], ids=repr)
def test_slots_that_cannot_be_read_are_named_and_nobody_gets_one(data: bytes) -> None:
    world = _world()
    world.storage.put("ledger", budget.BLOB, data)
    with pytest.raises(Damaged, match=r"ledger/budget\.json cannot be read"):
        _reserve(world)


def test_slots_are_made_anew_from_the_rows_of_jobs_that_may_run() -> None:
    world = _world()
    world.services.ledger.create(a_snapshot(S.TRAINING, job=_job(world)))
    world.services.ledger.create(a_snapshot(S.VALIDATED, id=NEWER, job=_job(world, NEWER)))
    assert world.services.budget.rebuild() == [_job(world)]
    assert _running(world) == [SNAPSHOT]


# --- fair shares of a day ----------------------------------------------------------------------------------------


def _of(world: World, dataset: str, number: int) -> list[str]:
    return _reserve(world, f"{dataset}-2026092114132{number}-0123abcd")


def test_one_dataset_does_not_take_the_day_of_all_others() -> None:
    world = _world(max_runs=9, max_runs_per_dataset=9, max_runs_per_day=9, max_runs_per_day_per_dataset=2)
    assert _of(world, "greedy", 1) == _of(world, "greedy", 2) == []
    assert _of(world, "greedy", 3) == [
        "2 jobs of this dataset began within 24 hours and MAX_RUNS_PER_DAY_PER_DATASET is 2"
    ]
    assert _of(world, "honest", 1) == []
    world.clock.now += budget.DAY + 1
    assert _of(world, "greedy", 4) == []


def test_invented_datasets_do_not_take_the_day_of_those_that_are_served() -> None:
    world = _world(max_runs=9, max_runs_per_day=4)
    world.services.ledger.create(a_dataset(newest_registered=SNAPSHOT))
    assert _of(world, "one", 1) == _of(world, "two", 1) == []
    assert _of(world, "three", 1) == [
        "2 jobs of new datasets, which have half of a day, began within 24 hours and MAX_RUNS_PER_DAY is 4"
    ]
    assert _reserve(world) == _reserve(world, NEWER) == []


def test_where_nothing_is_served_yet_new_datasets_have_the_whole_day() -> None:
    world = _world(max_runs=9, max_runs_per_day=3)
    world.services.ledger.create(a_dataset(D.EMPTY))
    assert [_of(world, name, 1) for name in ("one", "two", "three")] == [[], [], []]


def test_who_waited_long_looks_less_often() -> None:
    world = _world(max_runs=1)
    _reserve(world)
    pauses = []
    for wait in (0, 2000, 90_000):
        world.clock.now = START + wait
        row = a_snapshot(id=NEWER)
        pauses.append(world.services.budget.reserve(row, _job(world, NEWER))[0].poll_in)
    assert pauses == [60, 500, 900]


def _waiting(world: World, dataset: str, since: float) -> str:
    """A validated snapshot that waits for a slot; its key."""
    world.clock.now = since
    row = a_snapshot(S.VALIDATED, id=f"{dataset}-20260921141320-0123abcd", dataset=dataset, poll_at=START + 900)
    world.services.ledger.create(row)
    return row.key


def test_a_slot_that_is_given_back_is_offered_to_those_that_wait_longest() -> None:
    world = _world(max_runs=1)
    late, first, second = (_waiting(world, name, START + at) for name, at in (("aa", 9), ("bb", 1), ("cc", 5)))
    _reserve(world)
    world.storage.messages.clear()
    world.services.budget.release(_job(world))
    assert [message for _, _, message in world.storage.messages] == [f"{first}?", f"{second}?"]
    world.services.budget.release(_job(world))  # again: it had no slot any more
    assert len(world.storage.messages) == 2
    assert late not in str(world.storage.messages)
