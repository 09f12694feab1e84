"""A second release gets its traffic stage by stage, is taken back when it serves worse, and can be gone back from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from shared.ledger.release import CallStats
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.operations import actions, status
from shared.releases import outcomes
from tests.fakes import Process, World, dialogues

NAME, KEY = "support-bot", "dataset/support-bot"
HOUR = 3600.0
type Asked = Callable[[str, int], CallStats]


class Story:
    """A world with one release live, and the traffic that was ever written."""

    def __init__(self, process: Process | None = None, **settings: Any) -> None:
        given = {"rollout_bake_minutes": 10, "rollout_wait_minutes": 5, "rollback_keep_hours": 24, **settings}
        self.world = World(process or Process(), settings=given)
        self.written: list[dict[str, int]] = []
        write = self.world.workspace.endpoints.write

        def watched(name: str, tags: dict[str, str], traffic: dict[str, int]) -> str:
            operation = write(name, tags, traffic)
            if traffic:
                self.written.append(dict(traffic))
            return operation

        self.world.workspace.endpoints.write = watched  # type: ignore[method-assign]
        self.world.drop(f"{NAME}.jsonl", dialogues(40))
        self.world.run()
        self.first = self.row.live

    @property
    def row(self) -> Any:
        return self.world.services.ledger.read(KEY).row

    def drop_next(self) -> None:
        self.world.clock.now += 5
        self.world.drop(f"{NAME}/next.jsonl", dialogues(60, "next"))

    def until(self, true: Callable[[Any], bool]) -> Any:
        """The row as soon as this is true of it."""
        for _ in range(4000):
            if true(self.row):
                return self.row
            self.world.run(until=5)
            self.world.clock.now += 5
        raise AssertionError(f"it never was: {self.row.state} {self.row.history[-1]}")

    def at(self, percent: int) -> Any:
        """The row once the candidate's stage has its traffic."""
        return self.until(lambda r: bool(_stages(r) and _stages(r)[-1].percent == percent and _stages(r)[-1].since))

    def counted(
        self, deployment: str, answered: int, failed: int = 0, seconds: float = 1.0, ended: Any = "failed"
    ) -> None:
        """Questions that were asked through the app just now. `ended`: how those ended that were not answered."""

        async def note() -> None:
            for n in range(answered + failed):
                how: Any = "answered" if n < answered else ended
                self.world.services.counts.note(NAME, deployment, how, seconds)

        asyncio.run(note())
        self.world.services.counts.flush()

    def asked(self, candidate: int = 100, failed: int = 0, seconds: float = 1.0, ended: Any = "failed") -> None:
        """Questions to both sides: live answers all of its own."""
        row = self.row
        self.counted(row.candidate.deployment, candidate - failed, failed, seconds, ended)
        self.counted(row.live.deployment, 100)


def _stages(row: Any) -> Any:
    return row.candidate.stages if row.candidate else ()


def test_a_first_release_goes_straight_to_all_the_traffic() -> None:
    story = Story()
    assert (story.row.state, story.written) == (D.LIVE, [{story.first.deployment: 100}])
    assert [stage.percent for stage in story.first.stages] == [100]


def test_a_second_release_gets_its_traffic_stage_by_stage_and_each_stage_bakes() -> None:
    story = Story()
    story.drop_next()
    entered = []
    for percent in (10, 50, 100):
        row = story.at(percent)
        entered.append(_stages(row)[-1].since)
        shares = {row.candidate.deployment: percent, story.first.deployment: 100 - percent}
        assert row.traffic == {name: share for name, share in shares.items() if share}
        story.asked()
    row = story.until(lambda r: r.state == D.LIVE)
    new, old = row.live.deployment, story.first.deployment
    assert story.written[1:] == [{new: 10, old: 90}, {new: 50, old: 50}, {new: 100}]
    assert [stage.verdict for stage in row.live.stages] == ["healthy"] * 3
    assert all(600 <= later - earlier < 900 for earlier, later in pairwise(entered))
    assert "unjudged" not in row.reason
    told = [entry.reason for entry in row.history if entry.state == D.SHIFTING]
    assert told[-3:] == ["10 % of the traffic", "50 % of the traffic", "100 % of the traffic"]


def test_a_release_that_nobody_asks_goes_on_after_the_wait_and_says_unjudged() -> None:
    story = Story()
    story.drop_next()
    began = _stages(story.at(10))[-1].since
    assert "20 answered calls needed" in story.until(lambda r: bool(r.waiting)).waiting
    assert _stages(story.at(50))[-1].since >= began + 15 * 60
    row = story.until(lambda r: r.state == D.LIVE)
    assert [stage.verdict for stage in row.live.stages] == ["unjudged"] * 3
    assert row.live.unjudged
    assert row.reason.endswith("unjudged")


def test_metrics_that_cannot_be_read_make_no_stage_healthy() -> None:
    story = Story()
    story.drop_next()
    story.at(10)
    story.world.metrics.rate = None
    story.asked()
    row = story.at(50)
    assert _stages(row)[0].verdict == "unjudged"
    assert "could not be read" in _stages(row)[0].why


ERRORS: Callable[[Story], None] = lambda story: story.asked(failed=20)  # noqa: E731
REFUSES: Callable[[Story], None] = lambda story: story.asked(failed=100, ended="refused")  # noqa: E731
HANGS: Callable[[Story], None] = lambda story: story.asked(failed=100, ended="left")  # noqa: E731
SLOW: Callable[[Story], None] = lambda story: story.asked(seconds=4.0)  # noqa: E731


def _in_metrics(story: Story) -> None:
    candidate = story.row.candidate.deployment
    story.world.metrics.tallies = lambda name: CallStats(asked=100, failed=50 if name == candidate else 0)


@pytest.mark.parametrize("percent", [10, 50, 100])
@pytest.mark.parametrize(
    ("goes_wrong", "told"),
    [
        (ERRORS, "counts: candidate 20 of 100 failed (20.0 %)"),
        (SLOW, "p95 may be"),
        (REFUSES, "counts: candidate 0 of 100 failed (0.0 %), 100 refused"),
        (HANGS, "counts: candidate 0 of 100 failed (0.0 %), 100 given up by callers"),
        (_in_metrics, "metrics: candidate 50 of 100 failed"),
    ],
    ids=["errors", "latency", "refusals", "hanging", "metrics"],
)
def test_a_breach_puts_all_traffic_back_in_one_write_and_removes_the_candidate(
    percent: int, goes_wrong: Callable[[Story], None], told: str
) -> None:
    story = Story()
    story.drop_next()
    for share in (s for s in (10, 50, 100) if s < percent):
        story.at(share)
        story.asked()
    candidate = story.at(percent).candidate
    goes_wrong(story)
    written = len(story.written)
    row = story.until(lambda r: r.state == D.LIVE)
    assert story.written[written:] == [{story.first.deployment: 100}]
    assert (row.live.snapshot, row.traffic) == (story.first.snapshot, {story.first.deployment: 100})
    ended = row.outcomes[candidate.snapshot]
    assert ended.state == ReleaseState.ROLLED_BACK
    assert f"rolled back at {percent} % of the traffic" in ended.reason
    assert told in ended.reason
    assert outcomes.details(story.world.services, candidate.snapshot, ended).stages[-1].verdict == "breach"
    log = ended.reason.rsplit(" ", 1)[-1].removeprefix("evaluations/")
    assert b"it broke" in story.world.storage.blobs["evaluations", log].data
    assert [name for _, name in story.world.workspace.deployments.made] == [story.first.deployment]
    assert story.world.states()[candidate.snapshot] == "ROLLED_BACK"
    story.world.run(until=2 * HOUR)
    assert story.row.live.snapshot == story.first.snapshot, "it is not released again by itself"


def test_traffic_that_somebody_else_changed_is_put_right_at_the_next_look() -> None:
    story = Story()
    story.drop_next()
    row = story.at(10)
    story.world.run(until=60)
    endpoint = story.world.workspace.endpoints.made[row.endpoint]
    endpoint.value = endpoint.value.but(traffic={row.live.deployment: 100})
    story.world.run(until=200)
    assert story.world.workspace.endpoints.made[row.endpoint].value.traffic == row.traffic


def _second_live(**settings: Any) -> Story:
    story = Story(**settings)
    story.drop_next()
    story.until(lambda r: r.state == D.LIVE and r.live.snapshot != story.first.snapshot)
    return story


def test_the_deployment_before_stays_for_its_time_and_then_goes() -> None:
    story = _second_live()
    row = story.row
    assert row.kept_until == pytest.approx(row.since + 24 * HOUR)
    assert len(story.world.workspace.deployments.made) == 2
    assert status.dataset(story.world.services, NAME)["kept_until"]
    story.world.run(until=23 * HOUR)
    story.world.clock.now = row.kept_until - 10
    story.world._sweep()
    story.world.run(until=5)
    assert len(story.world.workspace.deployments.made) == 2
    story.world.clock.now = row.kept_until + 1
    story.world.run(until=HOUR)
    assert [name for _, name in story.world.workspace.deployments.made] == [row.live.deployment]
    assert story.row.previous.deployment == ""


def test_one_call_goes_back_to_the_release_before() -> None:
    story = _second_live()
    bad = story.row.live
    written = len(story.written)
    assert actions.ask(story.world.services, NAME, "roll_back", "ada").text == f"{NAME} will roll back"
    assert actions.ask(story.world.services, NAME, "roll_back", "ada").done
    story.world.run(until=HOUR)
    row = story.row
    assert (row.state, row.live.snapshot) == (D.LIVE, story.first.snapshot)
    assert story.written[written:] == [{story.first.deployment: 100}]
    assert row.outcomes[bad.snapshot].state == ReleaseState.ROLLED_BACK
    assert "ada went back to" in row.outcomes[bad.snapshot].reason
    assert [name for _, name in story.world.workspace.deployments.made] == [story.first.deployment]
    assert ("evaluations", f"{bad.snapshot}/{bad.deployment}.log.json") in story.world.storage.blobs
    states = story.world.states()
    assert (states[story.first.snapshot], states[bad.snapshot]) == ("LIVE", "ROLLED_BACK")
    refused = actions.ask(story.world.services, NAME, "roll_back", "ada")
    assert (refused.done, "nothing to go back to" in refused.text) == (False, True)


def test_what_was_gone_back_from_can_be_released_again_by_a_retry() -> None:
    story = _second_live()
    bad = story.row.live
    actions.ask(story.world.services, NAME, "roll_back", "ada")
    story.world.run(until=HOUR)
    assert actions.retry(story.world.services, bad.snapshot, "ada").done
    story.until(lambda r: r.state == D.LIVE and r.live.snapshot == bad.snapshot)


def test_during_a_rollout_the_call_takes_the_candidate_back() -> None:
    story = Story()
    story.drop_next()
    candidate = story.at(50).candidate
    assert actions.ask(story.world.services, NAME, "roll_back", "ada").done
    row = story.until(lambda r: r.state == D.LIVE)
    assert row.live.snapshot == story.first.snapshot
    assert row.outcomes[candidate.snapshot].state == ReleaseState.ROLLED_BACK
    assert "taken back by ada" in row.outcomes[candidate.snapshot].reason
    assert row.requested is None
    assert [name for _, name in story.world.workspace.deployments.made] == [story.first.deployment]


def test_after_its_time_there_is_nothing_to_go_back_to() -> None:
    story = _second_live(rollback_keep_hours=1)
    story.world.clock.now += 2 * HOUR
    answer = actions.ask(story.world.services, NAME, "roll_back", "ada")
    assert (answer.done, "not kept any more" in answer.text) == (False, True)


def test_going_back_to_a_deployment_that_is_gone_changes_nothing_and_says_so() -> None:
    story = _second_live()
    row = story.row
    del story.world.workspace.deployments.made[row.endpoint, row.previous.deployment]
    actions.ask(story.world.services, NAME, "roll_back", "ada")
    story.world.run(until=HOUR)
    assert (story.row.live, story.row.requested) == (row.live, None)
    assert "is gone" in story.row.reason


def test_a_newer_release_takes_the_place_of_the_kept_one() -> None:
    story = _second_live()
    second = story.row.live
    story.world.clock.now += 5
    story.world.drop(f"{NAME}/third.jsonl", dialogues(70, "third"))
    row = story.at(10)
    assert {name for _, name in story.world.workspace.deployments.made} == {second.deployment, row.candidate.deployment}


def test_sleep_removes_the_kept_deployment_as_well() -> None:
    story = _second_live()
    assert actions.ask(story.world.services, NAME, "sleep", "ada").done
    story.world.run(until=HOUR)
    assert (story.row.state, story.world.workspace.endpoints.made, story.row.previous) == (D.ASLEEP, {}, None)


def test_an_endpoint_that_vanishes_during_a_shift_leaves_the_dataset_asleep() -> None:
    story = Story()
    story.drop_next()
    row = story.at(10)
    story.world.workspace.endpoints.made.clear()
    story.world.workspace.deployments.made.clear()
    story.world.run(until=HOUR)
    after = story.row
    assert (after.state, after.live.snapshot, after.traffic) == (D.ASLEEP, story.first.snapshot, {})
    assert "is gone" in after.reason
    assert after.outcomes[row.candidate.snapshot].state == ReleaseState.ROLLED_BACK


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_return_that_is_cut_off_anywhere_ends_where_it_was_going(before: bool) -> None:
    story = _second_live()
    calls = story.world.process.calls
    actions.ask(story.world.services, NAME, "roll_back", "ada")
    story.world.run(until=HOUR)
    count = story.world.process.calls - calls
    for call in range(1, count + 1, 3):
        story = _second_live()
        actions.ask(story.world.services, NAME, "roll_back", "ada")
        story.world.process.die_at, story.world.process.before = story.world.process.calls + call, before
        story.world.run(until=HOUR)
        story.world.process.die_at = -1
        assert story.row.live.snapshot == story.first.snapshot, call
        assert len(story.world.workspace.deployments.made) == 1, call
