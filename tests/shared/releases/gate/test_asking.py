"""Asking a candidate and what is live: each prompt once, whatever happens, and nothing that live does wrong helps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import sleep
from typing import Any

import pytest

from shared import naming
from shared.azure.inference import EndpointAnswer, answered
from shared.azure.workspace.endpoints import Endpoint
from shared.errors import ServiceBusy
from shared.ledger.release import Judgement, ServingApi
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState as D
from shared.releases.gate import GateReport, GateUnfinished, asking, prompts, read_report, run
from tests.builders import DEPLOYMENT, ENDPOINT, NEWER, SNAPSHOT, URI, a_dataset, a_release
from tests.fake_workspace.made import Made
from tests.fakes import Killed, Process, World
from tests.no_answers import NO_ANSWERS

CANDIDATE = naming.deployment(NEWER, 1)
LIVE = DEPLOYMENT
NAMES = {CANDIDATE: "candidate", LIVE: "live"}
REFERENCE = "It is where you left it, on the table in the kitchen."

type Says = Callable[[int], EndpointAnswer]


def says(text: str = REFERENCE) -> Says:
    """Always this answer."""
    return lambda time: EndpointAnswer(200, text)


def fails(status: int, times: int = 99, retry_after: str = "") -> Says:
    """So many times this status, then a good answer."""
    return lambda time: (
        EndpointAnswer(status, None, "", "it broke", retry_after) if time <= times else EndpointAnswer(200, REFERENCE)
    )


def lines(count: int, answer: str = REFERENCE) -> bytes:
    """So many dialogues, as frozen."""
    rows = []
    for number in range(count):
        turns = [{"role": "user", "content": f"Where is number {number}?"}, {"role": "assistant", "content": answer}]
        rows.append(json.dumps({"messages": turns}))
    return "\n".join(rows).encode()


@dataclass
class Gate:
    """A candidate to be judged beside what is live, or asleep (`before_rollout`); both answer as said."""

    count: int = 10
    before_rollout: D = D.LIVE
    candidate: Says = field(default_factory=says)
    live: Says = field(default_factory=says)
    settings: dict[str, Any] = field(default_factory=dict)
    process: Process = field(default_factory=Process)

    def __post_init__(self) -> None:
        self.world = World(self.process, {"gate_prompts": 50, **self.settings})
        self.asked: list[tuple[str, str]] = []
        self.world.inference.answers = self._answer
        workspace: Any = self.world.workspace
        workspace.endpoints.made[ENDPOINT] = Made(Endpoint(name=ENDPOINT, state="", traffic={}, tags={}), 0.0)
        for snapshot in (SNAPSHOT, NEWER):
            self.keep(snapshot, "test", lines(self.count))
            self.keep(snapshot, "train", b"")

    def keep(self, snapshot: str, split: Any, data: bytes) -> None:
        """Puts a frozen file where it belongs."""
        self.world.storage._set("frozen", naming.frozen(snapshot, split), data, None)

    def _answer(self, deployment: str, question: str) -> EndpointAnswer:
        who = NAMES[deployment]
        self.asked.append((who, question))
        answer: EndpointAnswer = getattr(self, who)(self.asked.count((who, question)))
        return answer

    def row(self) -> Dataset:
        """The dataset while its candidate is evaluated."""
        live = None if self.before_rollout == D.EMPTY else a_release()
        changes = {
            "candidate": a_release(NEWER),
            "live": live,
            "before_rollout": self.before_rollout,
            "scoring_uri": URI,
        }
        return a_dataset(D.EVALUATING, **changes)

    def visit(self, row: Dataset | None = None) -> Any:
        """One visit by a new process."""
        row = row or self.row()
        assert row.candidate is not None
        self.world.storage.leases.clear()  # that of whoever was here before has run out
        services = self.world.new_process()
        return run(services, row, row.candidate, services.storage.lease("gate"))

    def judged(self, row: Dataset | None = None) -> Judgement:
        """As many visits as it takes, each when the one before said; a process that is killed starts again."""
        for _ in range(500):
            try:
                found = self.visit(row)
            except Killed:
                self.process.alive = True
                continue
            if isinstance(found, Judgement):
                return found
            self.world.clock.now += found.poll_in
        pytest.fail("the gate never ends")

    def times(self, who: str) -> Counter[int]:
        """How many prompts a release was asked how often."""
        return Counter(Counter(question for name, question in self.asked if name == who).values())

    def report(self, found: Judgement) -> GateReport:
        """The whole report."""
        return read_report(self.world.services, found.evaluation)


def first(**changes: Any) -> Gate:
    """A candidate with nothing live."""
    return Gate(before_rollout=D.EMPTY, **changes)


# --- each prompt once ---


def test_a_first_release_is_asked_every_held_out_prompt_once_and_passes() -> None:
    gate = first()
    found = gate.judged()
    assert (found.passed, found.against_live, found.candidate.asked) == (True, "first", 10)
    assert gate.times("candidate") == {1: 10}
    assert gate.times("live") == {}


def test_the_report_keeps_every_prompt_answer_and_score() -> None:
    gate = Gate(candidate=says("It is on the table."))
    found = gate.judged()
    report = gate.report(found)
    assert report.judgement == found
    assert [line.prompt[-1]["content"] for line in report.prompts] == [f"Where is number {n}?" for n in range(10)]
    for line in report.prompts:
        assert line.candidate is not None
        assert line.live is not None
        assert (line.reference, line.candidate.text, line.live.text) == (REFERENCE, "It is on the table.", REFERENCE)
        assert line.live.likeness == 100
        assert 0 < (line.candidate.likeness or 0) < 60
        assert line.difference == pytest.approx(100 - (line.candidate.likeness or 0))
    assert (report.parameters["do_sample"], report.thresholds.margin) == (False, 10)


def test_a_judgement_is_the_same_however_often_it_is_made() -> None:
    gate = Gate(candidate=says("It is on the table."))
    assert gate.judged() == gate.judged()
    assert gate.times("candidate") == gate.times("live") == {1: 10}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_gate_that_is_killed_anywhere_goes_on_and_asks_again_only_what_was_in_flight(
    at_once: int, before: bool
) -> None:
    def play(process: Process) -> tuple[Gate, Judgement]:
        gate = Gate(process=process, settings={"serving_concurrency": at_once, "gate_min_compared": 2}, count=5)
        return gate, gate.judged()

    whole, wanted = play(Process())
    for call in range(1, whole.process.calls + 1):
        gate, found = play(Process(die_at=call, before=before))
        assert found.but(candidate=wanted.candidate, live=wanted.live) == wanted, call
        again = sum(times - 1 for who in ("candidate", "live") for times in gate.times(who).elements())
        assert again <= at_once + 1, call


def test_a_visit_is_bounded_and_each_goes_on_where_the_last_one_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ROUND_SECONDS", 0.0)
    gate = Gate(settings={"serving_concurrency": 4})
    assert gate.visit() == GateUnfinished(0)
    assert Counter(who for who, _ in gate.asked) == {"candidate": 4, "live": 1}
    assert gate.judged().passed
    assert gate.times("candidate") == gate.times("live") == {1: 10}


def test_what_is_asked_stays_as_it_was_chosen_whatever_the_settings_become() -> None:
    gate = first(settings={"gate_prompts": 4, "gate_parameters": {"do_sample": False, "max_new_tokens": 7}})
    gate.candidate = fails(503, times=1)
    assert not isinstance(gate.visit(), Judgement)
    gate.world.settings = {"gate_prompts": 9, "gate_parameters": {}}
    report = gate.report(gate.judged())
    assert (len(report.prompts), report.parameters) == (4, {"do_sample": False, "max_new_tokens": 7})


# --- what goes wrong with the candidate ---


@pytest.mark.parametrize("status", [0, 408, 429, 502, 503, 504])
def test_not_now_is_asked_again_up_to_the_limit(status: int) -> None:
    gate = first(candidate=fails(status, times=2))
    assert gate.judged().passed
    assert max(gate.times("candidate")) == 3
    gate = first(candidate=fails(status))
    found = gate.judged()
    assert found.reasons == ("1 of 1 prompts failed (100 %, 2 % allowed)",)
    assert gate.times("candidate") == {3: 1}


def test_a_pause_that_the_endpoint_asks_for_is_kept() -> None:
    gate = first(candidate=fails(429, times=1, retry_after="7"))
    assert gate.visit() == GateUnfinished(7)
    assert first(candidate=fails(429, times=1)).visit() == GateUnfinished(60)


def test_a_model_that_fails_is_not_asked_again_nor_the_rest_once_the_judgement_stands() -> None:
    gate = first(candidate=fails(424))
    found = gate.judged()
    assert (found.passed, found.candidate.asked, found.candidate.failed) == (False, 1, 1)
    assert gate.times("candidate") == {1: 1}
    assert found.notes == ("the first that went wrong: HTTP 424",)
    gate = first(candidate=fails(424), settings={"gate_max_error_percent": 25})
    assert gate.judged().candidate.failed == 3


@pytest.mark.parametrize(("text", "flaw"), [("", "empty"), (f"{REFERENCE}<|im_end|>", "template marker")])
def test_answers_nobody_can_use_withhold_a_release(text: str, flaw: str) -> None:
    gate = first(candidate=says(text))
    found = gate.judged()
    assert (found.passed, found.candidate.unusable, found.candidate.likeness) == (False, 10, 0)
    assert gate.times("candidate") == {1: 10}
    assert {line.candidate.flaw for line in gate.report(found).prompts if line.candidate} == {flaw}


def test_a_slow_release_is_withheld_where_a_limit_is_set() -> None:
    def slow(time: int) -> EndpointAnswer:
        sleep(0.002)
        return EndpointAnswer(200, REFERENCE)

    gate = first(candidate=slow, settings={"gate_max_p95_seconds": 0.001})
    found = gate.judged()
    assert found.reasons[0].startswith("95 % of the answers took up to")
    assert 0.001 < (found.candidate.p50_seconds or 0) <= (found.candidate.p95_seconds or 0)


@pytest.mark.parametrize("status", [401, 404])
def test_an_endpoint_that_cannot_be_asked_says_nothing_about_the_model(status: int) -> None:
    gate = first(candidate=fails(status))
    with pytest.raises(ServiceBusy, match=f"HTTP {status}"):
        gate.visit()
    assert not [name for _, name in gate.world.storage.blobs if "/tries/" in name]


def test_a_key_that_was_replaced_is_read_anew() -> None:
    gate = first(candidate=fails(401, times=1))
    assert gate.judged().passed


# --- what goes wrong with live ---


@pytest.mark.parametrize("status", [0, 404, 424, 429, 500, 503])
def test_errors_of_live_are_asked_again_after_a_pause_and_then_compared(status: int) -> None:
    gate = Gate(live=fails(status, times=2))
    assert gate.visit() == GateUnfinished(60)
    found = gate.judged()
    assert (found.passed, found.against_live) == (True, "not worse")
    assert gate.times("live") == {3: 10}
    assert gate.times("candidate") == {1: 10}


@pytest.mark.parametrize("live", [fails(424), fails(503), says("")], ids=["fails", "is busy", "says nothing"])
def test_errors_of_live_beyond_the_limit_are_unknown_and_no_win(live: Says) -> None:
    gate = Gate(live=live)
    found = gate.judged()
    assert (found.against_live, found.gap, found.passed) == ("unjudged", None, True)
    assert max(gate.times("live")) == 3
    assert "10 prompts were not compared, e.g. live gave no answer" in found.notes[1]
    worse = Gate(live=live, candidate=says("<|im_end|>"))
    assert not worse.judged().passed


def test_a_few_errors_of_live_leave_out_their_prompts_only() -> None:
    gate = Gate(count=20)
    answer = gate._answer
    gate.world.inference.answers = lambda deployment, question: (
        EndpointAnswer(500, None)
        if deployment == LIVE and question.endswith(("1?", "7?"))
        else answer(deployment, question)
    )
    found = gate.judged()
    assert found.gap is not None
    assert (found.against_live, found.gap.prompts, found.candidate.asked) == ("not worse", 16, 20)


def test_a_gate_that_takes_too_long_goes_on_without_the_rest_of_live() -> None:
    gate = Gate(live=fails(503), settings={"gate_tries": 20, "gate_limit_minutes": 5})
    start = gate.world.clock()
    found = gate.judged()
    assert found.against_live == "unjudged"
    assert gate.times("candidate") == {1: 10}
    assert gate.world.clock() - start <= 6 * 60


def test_a_gate_that_takes_too_long_still_asks_the_candidate_once() -> None:
    gate = first(settings={"gate_limit_minutes": 5})
    row = gate.row()
    gate.world.clock.now += 3600
    assert gate.judged(row).passed
    gate = first(candidate=fails(503), settings={"gate_limit_minutes": 5, "gate_max_error_percent": 99})
    row = gate.row()
    gate.world.clock.now += 3600
    assert gate.judged(row).candidate.failed == 10
    assert gate.times("candidate") == {1: 10}


# --- against live ---


def test_a_worse_candidate_is_withheld_with_the_numbers() -> None:
    found = Gate(candidate=says("I do not know.")).judged()
    assert (found.passed, found.against_live) == (False, "worse")
    assert found.gap is not None
    assert found.live is not None
    assert found.live.likeness == 100
    assert found.gap.low > 10
    assert found.reasons[0].startswith(f"worse than live: live is {found.gap.mean:+.1f} points of likeness ahead")


def test_the_same_flaw_on_both_sides_is_nobodys_gain() -> None:
    marked = says(f"{REFERENCE}<|im_end|>")
    found = Gate(
        candidate=marked, live=marked, settings={"gate_max_unusable_percent": 99.9, "gate_prompts": 9}
    ).judged()
    assert found.against_live == "not worse"
    assert found.gap is not None
    assert found.gap.mean == 0


def _released() -> Gate:
    """A gate whose live release was judged by a gate of its own."""
    gate = Gate()
    row = a_dataset(D.EVALUATING, live=None, candidate=a_release(), before_rollout=D.EMPTY, scoring_uri=URI)
    assert gate.judged(row).passed
    gate.asked.clear()
    return gate


def test_of_what_is_asleep_the_stored_answers_are_compared() -> None:
    gate = _released()
    gate.before_rollout = D.ASLEEP
    gate.candidate = says("I do not know.")
    found = gate.judged()
    assert (found.passed, found.against_live) == (False, "worse")
    assert gate.times("live") == {}
    assert gate.times("candidate") == {1: 10}


def test_what_is_asleep_and_has_no_stored_answers_is_not_judged_by() -> None:
    gate = Gate(before_rollout=D.ASLEEP)
    found = gate.judged()
    assert (found.passed, found.against_live) == (True, "unjudged")
    assert "10 prompts were not compared, e.g. no stored answer of live" in found.notes
    assert gate.times("live") == {}


def test_live_is_asked_only_what_it_has_not_answered_before() -> None:
    gate = _released()
    gate.keep(NEWER, "test", lines(12))
    assert gate.judged().against_live == "not worse"
    assert gate.times("live") == {1: 2}


def test_answers_to_other_parameters_are_not_compared() -> None:
    gate = _released()
    gate.world.settings["gate_parameters"] = {"do_sample": False, "max_new_tokens": 50}
    assert gate.judged().against_live == "not worse"
    assert gate.times("live") == {1: 10}


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEWER])
def test_prompts_that_a_model_was_trained_on_are_left_out_of_the_comparison(snapshot: str) -> None:
    gate = Gate(count=20, candidate=says("I do not know."))
    gate.keep(snapshot, "train", lines(5, "another answer"))
    found = gate.judged()
    assert found.gap is not None
    assert (found.candidate.asked, found.gap.prompts) == (20, 15)
    assert gate.times("live") == {1: 15}
    left_out = [line.left_out for line in gate.report(found).prompts if line.left_out]
    assert left_out == [f"trained on by {snapshot}"] * 5


def test_training_files_are_searched_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "SEARCH_SECONDS", -1.0)
    monkeypatch.setattr(prompts, "_ROWS_BETWEEN_CHECKS", 2)
    gate = Gate(count=20)
    gate.keep(SNAPSHOT, "train", lines(5))
    visits = 0
    while not isinstance(found := gate.visit(), Judgement):
        assert not gate.asked
        visits += 1
    assert visits >= 4
    assert found.gap is not None
    assert found.gap.prompts == 15


def test_training_files_that_are_gone_are_told() -> None:
    gate = Gate()
    del gate.world.storage.blobs["frozen", naming.frozen(SNAPSHOT, "train")]
    found = gate.judged()
    assert found.against_live == "not worse"
    assert f"what {SNAPSHOT} was trained on is not there any more to be checked" in found.notes


def test_no_held_out_prompt_is_no_release() -> None:
    gate = first(count=0)
    assert gate.judged().reasons == ("there is no held-out prompt to ask",)


@pytest.mark.parametrize("candidate", [fails(424), says("<|im_end|>")], ids=["error", "answer"])
def test_a_judgement_quotes_no_answer_because_it_is_kept_in_the_ledger(candidate: Says) -> None:
    quoted: Sequence[str] = ("it broke", "<|im_end|>", REFERENCE)
    for gate in (Gate(candidate=candidate), Gate(live=candidate)):
        found = gate.judged()
        assert not [text for text in quoted if text in f"{found}"]
        assert "Where is number" not in f"{found}"


def test_long_held_out_answers_cost_no_more_than_short_ones() -> None:
    gate = Gate(candidate=says("x" * 6_000_000))
    for snapshot in (SNAPSHOT, NEWER):
        gate.keep(snapshot, "test", lines(3, "y" * 6_000_000))
    found = gate.judged()
    assert (found.candidate.asked, found.candidate.failed, found.candidate.likeness) == (3, 0, 0)
    kept = [
        len(stored.data)
        for (container, name), stored in gate.world.storage.blobs.items()
        if container == "evaluations" and name.endswith(("prompts.json", "evaluation.json"))
    ]
    assert max(kept) < 200_000


def test_a_prompt_that_nobody_could_send_is_not_asked() -> None:
    gate = first(settings={"call_max_bytes": 1000})
    asked = [{"role": "user", "content": "w" * 2000}, {"role": "assistant", "content": REFERENCE}]
    long = json.dumps({"messages": asked}).encode() + b"\n"
    gate.keep(NEWER, "test", long + lines(2))
    assert gate.judged().candidate.asked == 2


@pytest.mark.parametrize(("body", "told"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_candidate_that_answers_with_status_200_and_nothing_is_withheld(body: bytes, told: str) -> None:
    gate = Gate(count=4, candidate=lambda time: answered(body))
    found = gate.judged()
    assert (found.passed, found.candidate.failed) == (False, found.candidate.asked)
    failures = [prompt.candidate.failed for prompt in gate.report(found).prompts if prompt.candidate]
    assert told in failures[0]


@pytest.mark.parametrize(
    ("api", "setting", "roles"),
    [
        ("openai", "auto", ["system", "user"]),
        ("score", "auto", ["system", "user"]),
        ("mlflow", "auto", ["user"]),
        ("mlflow", "allow", ["system", "user"]),
        ("score", "fold", ["user"]),
    ],
)
def test_a_prompts_system_turn_is_asked_as_the_container_takes_it(
    api: ServingApi, setting: str, roles: list[str]
) -> None:
    gate = Gate(before_rollout=D.EMPTY, settings={"system_turns": setting})
    row = {"messages": [{"role": "system", "content": "Be brief."}, *json.loads(lines(1))["messages"]]}
    gate.keep(NEWER, "test", json.dumps(row).encode())
    gate.judged(gate.row().but(candidate=a_release(NEWER, api=api)))
    (asked,) = gate.world.inference.turns
    assert [turn["role"] for turn in asked] == roles
    assert "Be brief." in asked[0]["content"]
