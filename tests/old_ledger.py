"""Ledgers as they are after years: so many ended snapshots, a few hundred datasets, a few open rows."""

from __future__ import annotations

from typing import Any

from shared import naming
from shared.ledger import listed, store
from shared.ledger.release import GateMetrics, Judgement, ModelRef, Release, ReleaseOutcome, Stage
from shared.ledger.rows import Dataset, HistoryEntry, ReportSummary, Snapshot, SnapshotFile
from shared.ledger.states import DatasetState, ReleaseState, SnapshotState
from shared.runtime import Services
from shared.snapshots import intake
from tests.counted_storage import CountedStorage, SortedStorage
from tests.fakes import START, World

DAY = 86_400.0
# How snapshots end, one after the other: most have a model, some are refused.
_ENDS = (*(SnapshotState.REGISTERED,) * 7, SnapshotState.REJECTED, SnapshotState.DUPLICATE, SnapshotState.SUPERSEDED)
# As long as a reason of the gate, with its numbers.
_REASON = "20 of 20 prompts answered; likeness 61.2 against 60.8 of live, lead 0.4 (-3.1 to 3.9) over 20 prompts"


class OldLedger:
    """A ledger of `ended` snapshots in `datasets`, uploaded evenly over `days`, and `opened` that are in training."""

    def __init__(self, ended: int, datasets: int, opened: int, days: float = 1000.0) -> None:
        self.world = World()
        self.world.storage = SortedStorage(self.world.clock, self.world.process)
        self.world.services = self.world.new_process()
        self.storage = CountedStorage(self.world.storage)
        self.clock, self.datasets, self.opened = self.world.clock, datasets, opened
        intake.accept_since(self.world.services)
        ids: dict[str, list[str]] = {f"bot-{n:03}": [] for n in range(datasets)}
        for n in range(ended):
            name = f"bot-{n % datasets:03}"
            ids[name].append(self._snapshot(name, n, START + n * days * DAY / ended, _ENDS[n % len(_ENDS)]))
        self.clock.now = START + days * DAY
        for n, name in enumerate(ids):
            self._dataset(name, ids[name], up=n < opened)
        for n in range(opened):
            self._snapshot(f"bot-{n:03}", ended + n, self.clock() - 600 - n, SnapshotState.TRAINING)
        self.world.storage.messages.clear()

    def services(self) -> Services:
        """A new process, whose requests are counted."""
        given: Any = self.world
        counted: Any = self.storage
        return Services(
            given.services.settings, counted, given.workspace, given.metrics, given.inference, self.world.clock
        )

    def _snapshot(self, dataset: str, number: int, at: float, state: SnapshotState) -> str:
        path, storage = f"{dataset}/{number:06}.jsonl", self.world.storage
        self.clock.now = at
        etag = storage.upload("snapshots", path, b"{}")
        snapshot = naming.snapshot_id(dataset, storage.blobs["snapshots", path].uploaded_at, f"snapshots/{path}", etag)
        walk = (SnapshotState.RECEIVED, SnapshotState.VALIDATING, SnapshotState.VALIDATED, state)
        row = Snapshot(
            id=snapshot,
            dataset=dataset,
            state=state,
            source=path,
            uploaded_at=at,
            files=(SnapshotFile(path=path, etag=etag, size=1_000_000),),
            report=ReportSummary(blob=f"{snapshot}.json", verdict="accepted", rows=1000, errors=0, warnings=1),
            history=tuple(HistoryEntry(state=one, at=at + n, reason="as it should be") for n, one in enumerate(walk)),
            job=f"job-{snapshot}" if state == SnapshotState.TRAINING else "",
            model=ModelRef(name=f"Phi-4-{dataset}", version=str(number)) if state == SnapshotState.REGISTERED else None,
            poll_at=at + 3600 if state == SnapshotState.TRAINING else None,
        )
        self._write(row)
        return snapshot

    def _dataset(self, name: str, ids: list[str], up: bool) -> None:
        metrics = GateMetrics(asked=20, likeness=61.2, p50_seconds=0.8, p95_seconds=1.9)
        gate = Judgement(passed=True, against_live="not worse", candidate=metrics, live=metrics, notes=(_REASON,))
        stages = tuple(Stage(percent=share, since=START, verdict="healthy", why=_REASON) for share in (10, 50, 100))
        outcome = ReleaseOutcome(state=ReleaseState.RETIRED, at=START, reason=_REASON, gate=gate, stages=stages)
        live = Release(
            snapshot=ids[-1], model=ModelRef(name=name, version="1"), deployment=naming.deployment(ids[-1], 1),
            gate=gate, stages=stages,
        ) if ids else None  # fmt: skip
        state = DatasetState.EMPTY if live is None else DatasetState.LIVE if up else DatasetState.ASLEEP
        endpoint = naming.endpoint("0a1b2c3d", name)
        row = Dataset(
            name=name,
            state=state,
            seed=7,
            endpoint=endpoint,
            scoring_uri=f"https://{endpoint}.example.net/score" if state == DatasetState.LIVE else "",
            traffic={live.deployment: 100} if live and state == DatasetState.LIVE else {},
            live=live,
            outcomes=dict.fromkeys(ids[:-1], outcome),
            newest_registered=ids[-1] if ids else "",
            history=tuple(HistoryEntry(state=state, at=START + n, reason="as it should be") for n in range(20)),
        )
        if up:
            self.world.workspace.endpoints.write(endpoint, {}, {})
        self._write(row)

    def _write(self, row: Any) -> None:
        """As the version before wrote it."""
        metadata = {k: v for k, v in listed.metadata(row).items() if k in ("state", "next_look_at", "attention")}
        self.world.storage.upload("ledger", listed.blob_name(row.key), store.encode(row), metadata)
