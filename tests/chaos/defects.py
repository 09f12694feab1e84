"""Defects, each planted into one history's services or hands: the chaos must find them, or it proves nothing."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from shared import endpoints, registration, rollout, shifting, stepping, training
from shared.health import Measured, Tally
from shared.ledger import Hand, advance
from shared.lifecycle import DatasetState
from shared.records import Dataset, JobSpec
from tests.chaos.azure import ChaosStorage
from tests.chaos.world import ChaosWorld

_COUNT = itertools.count()


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


class _OverwrittenUnseen(ChaosStorage):
    """Reads on in a file that was overwritten."""

    def open(self, container: str, name: str, etag: str) -> Any:
        return super().open(container, name, self.look(container, name).etag)

    def look(self, container: str, name: str) -> Any:
        found = super().look(container, name)
        return found if container != "snapshots" else dataclasses.replace(found, etag=self.first(name, found.etag))

    def first(self, name: str, etag: str) -> str:
        return self.__dict__.setdefault("seen", {}).setdefault(name, etag)  # type: ignore[no-any-return]


class _NewNames(training.Submit):
    """Submits under a new name each time."""

    def act(self, row: Any, lease: Any) -> Any:
        workspace = self.parts.workspace

        class Renaming:
            def __getattr__(self, name: str) -> Any:
                return getattr(workspace, name)

            def job(self, name: str) -> None:
                return None

            def submit(self, spec: JobSpec) -> Any:
                return workspace.submit(spec.but(name=f"{spec.name}-{next(_COUNT)}"))

        parts: Any = dataclasses.replace(self.parts, workspace=Renaming())  # type: ignore[arg-type]
        return training.Submit(parts).act(row, lease)


class _NewVersions(registration.Register):
    """Registers a new version each time."""

    def act(self, row: Any, lease: Any) -> Any:
        version = f"{next(_COUNT)}"
        self.parts.workspace.register("model", version, row.job, {})
        return registration.Register(self.parts).act(row, lease)


class _EagerTraffic(rollout.Watch):
    """Gives a candidate traffic as soon as it is up."""

    def _go_on(self, row: Dataset, candidate: Any, lease: Any) -> Any:
        outcome = super()._go_on(row, candidate, lease)
        if outcome.state == DatasetState.EVALUATING:
            endpoints.shifted(self.parts, row.but(traffic={candidate.deployment: 100}))
        return outcome


class _BlindShift(shifting.Shift):
    """Finds every candidate healthy."""

    def _measured(self, row: Dataset, candidate: Any, live: Any) -> tuple[Measured, ...]:
        return (Measured(source="counts", candidate=Tally(asked=1000), live=Tally(asked=1000)),)


def _with_storage(storage: type[ChaosStorage]) -> Callable[..., ChaosWorld]:
    class World(ChaosWorld):
        def new_storage(self) -> ChaosStorage:
            return storage(self.clock, self.stage, self.promises)

    return World


def _with_hand(table: str, step: str, hand: Callable[[Any], Any]) -> Callable[..., ChaosWorld]:
    class World(ChaosWorld):
        def step(self, parts: Any, message: str) -> str:
            hands: dict[str, dict[str, Hand]] = {k: dict(v) for k, v in stepping.hands(parts).items()}
            hands[table][step] = hand(parts)
            return advance(parts.ledger, message, hands, parts.settings.fault_seconds, lambda *what: None)

    return World


# What is planted, and words of the promise that must be seen broken (any of them).
DEFECTS: dict[str, tuple[Callable[..., ChaosWorld], tuple[str, ...]]] = {
    "rows are written without their ETag": (_with_storage(_AnyVersion), ()),
    "claims are given to everybody": (_with_storage(_ClaimsForAll), ("is trained by",)),
    "an overwritten file is read on": (_with_storage(_OverwrittenUnseen), ()),
    "a job has a new name each time": (_with_hand("snapshot", "submit", _NewNames), ("more than one job",)),
    "a model has a new version each time": (_with_hand("snapshot", "register", _NewVersions), ("more than once",)),
    "a candidate that serves badly goes on": (_with_hand("dataset", "shift", _BlindShift), ("serves badly",)),
    "a candidate has traffic before its gate": (_with_hand("dataset", "watch", _EagerTraffic), ("no gate",)),
}
