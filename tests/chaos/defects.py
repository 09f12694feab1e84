"""Defects, each planted into one history's services, hands or rules: the chaos must find them, or it proves nothing.

Each names a seed whose history breaks the promise that it should; when the app or the chaos changes, another one is
looked for.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, override
from unittest import mock

from shared import naming
from shared.azure.workspace.jobs import JobSpec
from shared.ledger import listed, states, uptime
from shared.ledger.engine import Engine, StepHandler, StepResult
from shared.ledger.release import CallComparison, CallStats, GateMetrics, Judgement
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState, LifeCycle
from shared.operations import publish, steps
from shared.releases import deploy, endpoints, traffic
from shared.snapshots import erasing, intake
from shared.snapshots.paths import MARKER
from shared.training import register, spent, submit
from tests.chaos.azure import ChaosStorage, HeldLease
from tests.chaos.history import Verdict, play
from tests.chaos.world import ChaosWorld

_COUNT = itertools.count()
# So many histories are tried, from the known seed on.
TRIED = 1000

type Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Defect:
    """What is planted: another world, or other attributes of the app. `words`: the promise to be broken has one."""

    seed: int
    words: tuple[str, ...] = ()
    world: Callable[..., ChaosWorld] = ChaosWorld
    patches: tuple[Patch, ...] = ()

    def found(self) -> Verdict | None:
        """The first history that sees it."""
        with self._planted():
            for seed in range(self.seed, self.seed + TRIED):
                verdict = play(seed, make=self.world)
                if verdict.broken and (not self.words or any(word in verdict.broken[0] for word in self.words)):
                    return verdict
        return None

    @contextlib.contextmanager
    def _planted(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for thing, name, value in self.patches:
                stack.enter_context(mock.patch.object(thing, name, value))
            yield


class _AnyVersion(ChaosStorage):
    """Replaces a blob whatever was read."""

    def replace(self, container: str, name: str, data: bytes, etag: str, metadata: Any = None) -> str:
        stored = self.blobs.get((container, name))
        return super().replace(container, name, data, stored.etag if stored else etag, metadata)


class _ClaimsForAll(ChaosStorage):
    """Gives a claim to whoever asks."""

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        if name.startswith("claims/"):
            self.blobs.pop((container, name), None)
        return super().create(container, name, data, metadata)


class _NewMarkers(ChaosStorage):
    """Writes the marker of an import over the one that is there."""

    def create(self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        if container == "snapshots" and name.endswith(MARKER):
            return self.put(container, name, data, metadata)
        return super().create(container, name, data, metadata)


class _OverwrittenUnseen(ChaosStorage):
    """Reads on in a file that was overwritten."""

    def open(self, container: str, name: str, etag: str) -> Any:
        return super().open(container, name, self.head(container, name).etag)

    def head(self, container: str, name: str) -> Any:
        found = super().head(container, name)
        return found if container != "snapshots" else dataclasses.replace(found, etag=self.first(name, found.etag))

    def first(self, name: str, etag: str) -> str:
        return self.__dict__.setdefault("seen", {}).setdefault(name, etag)  # type: ignore[no-any-return]


class _LeasesForAll(ChaosStorage):
    """Gives a lease to whoever asks, and tells nobody that it was lost."""

    def lease(self, name: str, take_over: bool = False) -> Any:
        self.held.pop(name, None)
        return super().lease(name, take_over)


class _NewNames(submit.Submit):
    """Submits under a new name each time."""

    def act(self, row: Any, lease: Any) -> Any:
        jobs, workspace = self.services.workspace.jobs, copy.copy(self.services.workspace)

        class Renaming:
            def get(self, name: str) -> None:
                return None

            def submit(self, spec: JobSpec) -> Any:
                return jobs.submit(spec.but(name=f"{spec.name}-{next(_COUNT)}"))

        workspace.jobs = Renaming()  # type: ignore[assignment]
        return submit.Submit(dataclasses.replace(self.services, workspace=workspace)).act(row, lease)


class _NewVersions(register.Register):
    """Registers a new version each time."""

    def act(self, row: Any, lease: Any) -> Any:
        version = f"{next(_COUNT)}"
        self.services.workspace.models.register("model", version, row.job, {})
        return register.Register(self.services).act(row, lease)


class _EagerTraffic(deploy.Watch):
    """Gives a candidate traffic as soon as it is up."""

    @override
    def _go_on(self, row: Dataset, candidate: Any, lease: Any) -> Any:
        outcome = super()._go_on(row, candidate, lease)
        if outcome.state == DatasetState.EVALUATING:
            endpoints.ensure_traffic(self.services, row.but(traffic={candidate.deployment: 100}))
        return outcome


class _BlindShift(traffic.Shift):
    """Finds every candidate healthy."""

    @override
    def _compare(self, row: Dataset, candidate: Any) -> tuple[CallComparison, ...]:
        return (CallComparison(source="counts", candidate=CallStats(asked=1000), live=CallStats(asked=1000)),)


class _BlindGate(deploy.Gate):
    """Lets everybody pass."""

    @override
    def _go_on(self, row: Dataset, candidate: Any, lease: Any) -> Any:
        passed = Judgement(passed=True, against_live="first", candidate=GateMetrics(asked=0))
        return StepResult(DatasetState.SHIFTING, "looks fine", {"candidate": candidate.but(gate=passed)})


class _Spendthrift(ChaosWorld):
    """Its app knows no limits."""

    def _services(self, storage: Any, workspace: Any) -> Any:
        services = super()._services(storage, workspace)
        names = ("max_runs", "max_runs_per_dataset", "max_runs_per_day", "max_runs_per_day_per_dataset")
        services.settings = services.settings.model_copy(update=dict.fromkeys(names, 99))
        services.__post_init__()  # all that is made of the settings
        return services


class _Cardless(ChaosWorld):
    """Its app writes no cards, and nobody looks at the whole ledger."""

    def _services(self, storage: Any, workspace: Any) -> Any:
        services = super()._services(storage, workspace)
        services.ledger.is_indexed = True
        services.ledger.cards.put = lambda card: None  # type: ignore[method-assign]
        return services


def _without_intents(table: LifeCycle) -> LifeCycle:
    return LifeCycle(table.name, tuple(dataclasses.replace(step, intent=None) for step in table.steps))


def _with_storage(storage: type[ChaosStorage]) -> Callable[..., ChaosWorld]:
    class World(ChaosWorld):
        def new_storage(self) -> ChaosStorage:
            return storage(self.clock, self.stage, self.promises)

    return World


def _with_hand(table: str, step: str, hand: Callable[[Any], Any]) -> Callable[..., ChaosWorld]:
    class World(ChaosWorld):
        def step(self, services: Any, message: str) -> str:
            handlers: dict[str, dict[str, StepHandler]] = {k: dict(v) for k, v in steps.handlers(services).items()}
            handlers[table][step] = hand(services)
            engine = Engine(services.ledger, handlers, services.settings.fault_seconds)
            return engine.advance(message)

    return World


def _each_event_is_new(id_of: Callable[..., str]) -> Callable[..., str]:
    """Another id at each look at an upload."""

    def new(drop: Any, blob: Any) -> str:
        return id_of(drop, dataclasses.replace(blob, etag=f"{blob.etag}-{next(_COUNT)}"))

    return new


def _believed(key: str, metadata: Mapping[str, str]) -> listed.ListedDataset:
    """A row as a listing shows it, whatever the listing shows."""
    poll_at = float(metadata["next_look_at"]) if "next_look_at" in metadata else None
    return listed.ListedDataset(key, metadata["state"], poll_at, metadata.get("attention") == "1", "", metadata)


def _deaf(self: Any, left: float = 0) -> None:
    """A lease that is never lost."""


DEFECTS: dict[str, Defect] = {
    "rows are written without their ETag": Defect(58, world=_with_storage(_AnyVersion)),
    "claims are given to everybody": Defect(10, ("is trained by",), _with_storage(_ClaimsForAll)),
    "an overwritten file is read on": Defect(9, world=_with_storage(_OverwrittenUnseen)),
    "a job has a new name each time": Defect(
        66, ("more than one job", "is trained by"), _with_hand("snapshot", "submit", _NewNames)
    ),
    "a model has a new version each time": Defect(
        2, ("more than once",), _with_hand("snapshot", "register", _NewVersions)
    ),
    "a candidate has traffic before its gate": Defect(2, ("no gate",), _with_hand("dataset", "watch", _EagerTraffic)),
    "a candidate that serves badly goes on": Defect(
        416, ("serves badly",), _with_hand("dataset", "shift", _BlindShift)
    ),
    "the gate is blind": Defect(85, ("without ever answering",), _with_hand("dataset", "gate", _BlindGate)),
    "the limits are ignored": Defect(46, ("runs beside", "within a day"), _Spendthrift),
    "leases keep nobody out": Defect(4, world=_with_storage(_LeasesForAll), patches=((HeldLease, "check", _deaf),)),
    "intents are not written": Defect(
        4,
        patches=(
            (states, "SNAPSHOT", _without_intents(states.SNAPSHOT)),
            (states, "DATASET", _without_intents(states.DATASET)),
        ),
    ),
    "a request outlives its answer": Defect(99, ("outlives",), patches=((Dataset, "settled", lambda row: row),)),
    "a damaged row stops the sweep": Defect(23, ("sweep met", "mending met"), patches=((listed, "listed", _believed),)),
    "cards are written for nobody": Defect(8, ("nothing moves it", "overdue", "settles"), _Cardless),
    "nobody looks after notices": Defect(162, ("is told",), patches=((publish, "empty", lambda *what: None),)),
    "a notice has a new id at each attempt": Defect(
        6, ("is told",), patches=((naming, "notice", lambda *what: f"{next(_COUNT)}"),)
    ),
    "an event that comes twice is two uploads": Defect(
        0, patches=((intake, "_snapshot_id", _each_event_is_new(intake._snapshot_id)),)
    ),
    "what was deleted is taken in again": Defect(
        225,
        ("was deleted",),
        patches=((intake, "_is_of_deleted", lambda *_: False), (erasing, "end_if_deleted", lambda *_: None)),
    ),
    "an import that is repeated makes another snapshot": Defect(395, ("has made",), _with_storage(_NewMarkers)),
    "what a job took is put on no record": Defect(3, ("its job is 0",), patches=((spent, "record", lambda *_: None),)),
    "an end of a deployment counts for no record": Defect(
        3, ("what is counted",), patches=((uptime, "timed", lambda before, row, *more: row),)
    ),
}
