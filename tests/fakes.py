"""The whole app over in-memory Storage, Workspace, Metrics and Scorer, on one clock that the test moves.

They promise what the real ones promise; `tests/contracts` runs the same tests over both. A `World` holds them together
with the queue, delivers what is due and moves the clock on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.azure import inference
from shared.azure.hub import HubDataset, HubRefused
from shared.azure.metrics import Requests, Since
from shared.config.settings import Settings
from shared.ledger.outbox import Notice, SendResult
from shared.ledger.release import CallComparison, CallStats
from shared.runtime import Services
from tests.fake_process import START, Clock, Killed, Process
from tests.fake_storage import FakeStorage
from tests.fake_workspace import GPU, READER, FakeWorkspace

# Opens the routes that ask a model.
KEY = "the-key-of-a-caller"

__all__ = ["GPU", "KEY", "START", "Clock", "FakeStorage", "FakeWorkspace", "Killed", "Process", "World", "dialogues"]


# Stages that nobody asks anything in go by in two minutes, and nothing is kept to go back to.
QUICK = {"rollout_bake_minutes": 1, "rollout_wait_minutes": 1, "rollback_keep_hours": 0}


class FakeMetrics:
    """Questions asked past the app, by endpoint and time. A deployment is measured from when it was up.

    `rate` is asked of every endpoint besides; None: not known. `tallies` says how the questions to a deployment ended;
    without it nobody asked.
    """

    def __init__(self, workspace: FakeWorkspace) -> None:
        self.workspace = workspace
        self.rate: float | None = 0.0
        self.asked: dict[str, list[float]] = {}
        self.tallies: Callable[[str], CallStats] = lambda deployment: CallStats()

    def check_access(self) -> None:
        self.workspace.call(lambda: None, role=READER)

    def compared(self, endpoint: str, candidate: Since, live: Since, until: float) -> CallComparison:
        if READER in self.workspace.missing:
            return CallComparison(source="metrics", why=f"they could not be read (it needs the role {READER})")
        if self.rate is None:
            return CallComparison(source="metrics", why="they could not be read (HttpResponseError)")
        return CallComparison(source="metrics", candidate=self.tallies(candidate[0]), live=self.tallies(live[0]))

    def requests(self, endpoint: str, deployments: Sequence[str], since: float, until: float) -> Requests:
        if READER in self.workspace.missing:
            return Requests(None, f"metrics could not be read (it needs the role {READER})")
        if self.rate is None:
            return Requests(None, "metrics could not be read (HttpResponseError)")
        made = [self.workspace.deployments.find(endpoint, name) for name in deployments]
        if not all(m is not None and m.ready_at <= since + 600 for m in made):
            return Requests(None, "the capacity is not known: nothing was reported at the beginning")
        minutes = Counter(at // 60 for at in self.asked.get(endpoint, ()) if since <= at < until)
        return Requests(max(self.rate, *map(float, minutes.values()), 0.0))


def probe_answer(speaks: str, uri: str) -> inference.EndpointAnswer:
    """What a container answers an empty object."""
    if uri.endswith("/v1/chat/completions"):
        status, detail = (422, "messages: Field required") if speaks == "openai" else (404, "Not Found")
        return inference.EndpointAnswer(424, None, detail=detail, container_status=status)
    if speaks == "mlflow":
        return inference.EndpointAnswer(424, None, detail="no input_data", container_status=500)
    return inference.EndpointAnswer(200, None)


class FakeScorer:
    """Answers every question with `text`, at `status`; `answers` may say otherwise by deployment and question.

    `speaks` is what its container speaks; `probes` says otherwise by address, as an answer. `asked` has deployments in
    order, `turns` the conversations, `probed` the addresses.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.status, self.text = 200, "an answer"
        self.answers: Callable[[str, str], inference.EndpointAnswer | None] = lambda deployment, question: None
        self.speaks = "score"
        self.probes: Callable[[str], inference.EndpointAnswer | None] = lambda uri: None
        self.asked: list[str] = []
        self.probed: list[str] = []
        self.turns: list[list[Any]] = []

    async def probe(self, uri: str, key: str, deployment: str, timeout: float) -> inference.EndpointAnswer:
        def act() -> inference.EndpointAnswer:
            self.probed.append(uri)
            return self.probes(uri) or probe_answer(self.speaks, uri)

        return self.process.call(act)

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: str) -> inference.EndpointAnswer:
        def act() -> inference.EndpointAnswer:
            self.asked.append(more.get("deployment", ""))
            turns = body["messages"] if "messages" in body else body["input_data"]["input_string"]
            self.turns.append(list(turns))
            question = turns[-1]["content"]
            if special := self.answers(more.get("deployment", ""), question):
                return special
            good = self.status == 200
            return inference.EndpointAnswer(self.status, self.text if good else None, more.get("deployment", ""), "")

        return self.process.call(act)

    async def stream(
        self, uri: str, key: str, body: Any, timeout: float, *, pause: float, **more: str
    ) -> inference.EndpointAnswer:
        """The same: nothing here streams."""
        return await self.ask(uri, key, body, timeout, **more)

    async def close(self) -> None:
        """Nothing is pooled."""


class FakeChannel:
    """Keeps what it is sent. `error`: it takes nothing, and says that. `wants`: how much it takes at once."""

    def __init__(self) -> None:
        self.received: list[Notice] = []
        self.requests = 0
        self.error, self.wants = "", 1_000_000

    def send(self, source: str, notices: Sequence[Notice]) -> SendResult:
        self.requests += 1
        taken = [] if self.error else notices[: self.wants]
        self.received += taken
        return SendResult(len(taken), error=self.error or ("enough" if len(taken) < len(notices) else ""))

    def states(self, subject: str) -> list[str]:
        """What it was told of one subject, in that order, each event once."""
        found = {one.id: one for one in self.received if one.subject == subject}
        return [str(one.data["state"]) for one in sorted(found.values(), key=lambda one: one.at)]


class FakeHub:
    """Datasets by name: splits, each a list of parts, each a list of rows. `broken`: why nothing can be read now."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.datasets: dict[str, dict[str, list[list[Any]]]] = {}
        self.broken: Exception | None = None
        self.asked: list[tuple[str, int]] = []

    def _found(self, dataset: HubDataset) -> dict[str, list[list[Any]]]:
        if self.broken:
            raise self.broken
        if dataset.name not in self.datasets:
            raise HubRefused(f"on the Hub is no dataset {dataset.name}")
        return self.datasets[dataset.name]

    def unreachable(self) -> str:
        return str(self.broken or "")

    def commit(self, dataset: HubDataset) -> str:
        return self.process.call(lambda: (self._found(dataset), f"{dataset.revision or 'main'}-commit")[1])

    def splits(self, dataset: HubDataset) -> dict[str, int]:
        return self.process.call(lambda: {name: len(parts) for name, parts in self._found(dataset).items()})

    def rows(self, dataset: HubDataset, split: str, part: int, parts: int) -> Iterator[Any]:
        found = self.process.call(lambda: self._found(dataset)[split])
        self.asked.append((split, part))
        yield from [row for one in found for row in one] if parts == 1 else found[part]


_SETTINGS: dict[Any, Settings] = {}


def _settings(given: dict[str, Any]) -> Settings:
    """Frozen, and read once for each set of values and environment: reading them is a fifth of what a world costs."""
    key = (repr(sorted(given.items())), frozenset(os.environ.items()))
    if key not in _SETTINGS:
        _SETTINGS[key] = Settings(**given)
    return _SETTINGS[key]


@dataclass
class World:
    """The whole app in memory: what was dropped, what is queued, what Azure has."""

    process: Process = field(default_factory=Process)
    settings: dict[str, Any] = field(default_factory=dict)
    hierarchical: bool = False
    channels: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.next_night = self.clock() + 86_400
        self.storage = FakeStorage(self.clock, self.process, self.hierarchical)
        self.workspace = FakeWorkspace(self.clock, self.process)
        self.metrics, self.inference = FakeMetrics(self.workspace), FakeScorer(self.process)
        self.hub = FakeHub(self.process)
        self.services = self.new_process()
        self.events: list[str] = []

    def new_process(self) -> Services:
        """Parts as a newly started process has them: nothing remembered."""
        given = {
            "data": "fake",
            "azure_subscription_id": "s",
            "azure_resource_group": "g",
            "azureml_workspace": "w",
            "min_rows": 10,
            "training_compute": "serverless",
            **QUICK,
            "scoring_keys": KEY,
            **self.settings,
        }
        fake: Any = self
        parts = (fake.storage, fake.workspace, fake.metrics, fake.inference)
        return Services(_settings(given), *parts, self.clock, self.channels, fake.hub)

    def drop(self, path: str, data: bytes) -> None:
        """Uploads a blob; its event is delivered by `run`."""
        self.storage._set("snapshots", path, data, None)
        self.events.append(path)

    def run(self, until: float = 7200.0, sweep_every: float = 300.0) -> None:
        """Delivers events and messages in time order, with sweeps between, until nothing is planned or time is up.

        A process that is killed starts again; what it was working on is delivered again 30 s later.
        """
        end, next_sweep = self.clock() + until, self.clock() + sweep_every
        while self.clock() < end:
            if self.events:
                self._event(self.events.pop(0))
                continue
            due = min(self.storage.messages, default=None)
            if due is None and self._quiet():
                self._guarded(self._sweep, lambda: None)
                if not self.storage.messages:
                    return
                continue
            if due is None or due[0] > next_sweep:
                self.clock.now = max(self.clock.now, next_sweep)
                next_sweep += sweep_every
                self._guarded(self._sweep, lambda: None)
                continue
            self.storage.messages.remove(due)
            self.clock.now = max(self.clock.now, due[0])
            message = due[2]
            self._guarded(lambda: self._step(message), lambda: self._again(message))  # noqa: B023 - run at once

    def _event(self, path: str) -> None:
        from shared.snapshots import intake

        self._guarded(lambda: intake.receive(self.services, path), lambda: self.events.append(path))

    def _sweep(self) -> None:
        """A sweep, and once a day the look at the whole ledger that the nightly round makes."""
        from shared.operations import sweep, whole_ledger

        sweep.sweep(self.services)
        if self.clock() >= self.next_night:
            whole_ledger.look(self.services)
            self.next_night = self.clock() + 86_400

    def _step(self, message: str) -> None:
        from shared.operations import steps

        steps.step(self.services, message)

    def _again(self, message: str) -> None:
        self.storage.messages.append((self.clock() + 30, 0, message))

    def _guarded(self, act: Callable[[], Any], killed: Callable[[], None]) -> None:
        try:
            act()
        except Killed:
            self.process.alive = True
            self.services = self.new_process()
            killed()

    def _quiet(self) -> bool:
        """Whether no row plans another look within the hour."""
        horizon = self.clock() + 3600
        looks = (
            float(s.metadata.get("next_look_at", "inf")) for (c, _), s in self.storage.blobs.items() if c == "ledger"
        )
        return all(look > horizon for look in looks)

    def states(self) -> dict[str, str]:
        """Every snapshot's state as people see it."""
        return {row["id"]: row["state"] for row in self.snapshots()}

    def snapshots(self, dataset: str = "") -> list[dict[str, Any]]:
        """Everything that people see of every snapshot, newest upload first."""
        from shared.operations import status

        names = [found.name for found in self.services.ledger.list("snapshot", dataset)]
        newest_first = sorted(names, key=lambda name: name.rsplit("-", 2)[1:], reverse=True)
        return [status.snapshot(self.services, name) for name in newest_first]


def dialogues(count: int, seed: str = "") -> bytes:
    """That many valid, different rows as JSONL."""
    rows = []
    for i in range(count):
        word = hashlib.sha256(f"{seed}{i}".encode()).hexdigest()[:12]
        turns = [
            {"role": "user", "content": f"What is {word}?"},
            {"role": "assistant", "content": f"It is {word[::-1]}."},
        ]
        rows.append(json.dumps({"messages": turns}))
    return "\n".join(rows).encode() + b"\n"
