"""The whole app of one history, in memory: services that are watched, and parts as a new process has them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

from shared import naming
from shared.config.settings import Settings
from shared.ledger.listed import key_of
from shared.ledger.store import decode
from shared.runtime import Services
from shared.snapshots import intake
from tests.chaos.azure import ChaosMetrics, ChaosScorer, ChaosStorage, ChaosWorkspace
from tests.chaos.contents import Content
from tests.chaos.dice import Dice
from tests.chaos.imported import ChaosHub, Imports
from tests.chaos.profile import Profile
from tests.chaos.promises import Promises
from tests.chaos.stage import Stage, Wire
from tests.chaos.topic import ChaosTopic
from tests.fake_process import Clock


@cache
def settings(max_runs: int, max_runs_per_day: int) -> Settings:
    """The app's settings in a history."""
    return Settings(
        data="fake", azure_subscription_id="s", azure_resource_group="g", azureml_workspace="w",
        min_rows=10, training_compute="serverless", gate_prompts=2, idle_hours=1, deploy_limit_minutes=20,
        rollout_stages="20,100", rollout_bake_minutes=3, rollout_wait_minutes=3, rollback_keep_hours=3,
        orphan_grace_hours=1, look_seconds=100, import_sources=("owner/*",),
        max_runs=max_runs, max_runs_per_day=max_runs_per_day,
    )  # fmt: skip


# The kinds of resources of a workspace.
KINDS = ("registry", "jobs", "models", "endpoints", "deployments", "compute", "datastores", "quota")


class ChaosWorld:
    """Services, events on their way, and the app."""

    def __init__(self, dice: Dice, profile: Profile) -> None:
        self.clock = Clock()
        self.promises = Promises()
        self.promises.world = self
        self.settings = settings(profile.max_runs, profile.max_runs_per_day)
        self.topic, self.told = ChaosTopic(self), profile.told
        self.imports = Imports(self)
        self.stage = Stage(dice, self.clock, profile.fates)
        self.storage = self.new_storage()
        self.workspace = ChaosWorkspace(self.clock, dice, self.promises, profile.ends)
        self.inference, self.metrics = ChaosScorer(self.stage, self.workspace), ChaosMetrics(self.stage, self.workspace)
        self.stage.on_wake = self.storage.lapse
        self.events: list[tuple[float, int, str]] = []
        kinds = {kind: Wire(self.stage, kind, getattr(self.workspace, kind)) for kind in KINDS}
        # Helps for people, of which nothing depends: they are not interrupted.
        helps = {"failure": self.workspace.failure, "location": self.workspace.location}
        workspace = SimpleNamespace(**kinds, **helps)
        self._wires: dict[str, Any] = {"storage": Wire(self.stage, "storage", self.storage), "workspace": workspace}
        self.bare = self._services(self.storage, self.workspace)
        intake.accept_since(self.bare)

    def new_storage(self) -> ChaosStorage:
        """The storage; a planted defect may be in it."""
        return ChaosStorage(self.clock, self.stage, self.promises)

    def new_process(self) -> Services:
        """Parts as a newly started process has them: nothing remembered."""
        return self._services(**self._wires)

    def _services(self, storage: Any, workspace: Any) -> Services:
        metrics: Any = self.metrics
        inference: Any = self.inference
        channels: Any = {"topic": Wire(self.stage, "topic", self.topic)} if self.told else {}
        hub: Any = ChaosHub(self.stage)
        return Services(self.settings, storage, workspace, metrics, inference, self.clock, channels, hub)

    def step(self, services: Services, message: str) -> str:
        """Moves a row by one step."""
        from shared.operations import steps

        return steps.step(services, message)

    def drop(self, path: str, content: Content | bytes) -> None:
        """Uploads a blob; its event is on its way."""
        data = content if isinstance(content, bytes) else content.data
        etag = self.storage._set("snapshots", path, data, None)
        self.promises.dropped[etag] = frozenset() if isinstance(content, bytes) else content.good
        self.stage.note("somebody", f"uploads {path} ({len(data)} bytes) as {etag}")
        self.tell(f"upload {path}")

    def tell(self, event: str, delay: float = 1.0) -> None:
        """An event is on its way."""
        self.storage._count += 1
        self.events.append((self.clock() + delay, self.storage._count, event))

    def row(self, key: str) -> Any:
        """A row as it is stored."""
        return self.bare.ledger.read(key).row

    def rows(self, kind: str) -> Iterator[Any]:
        """All rows of a kind."""
        for (container, name), stored in sorted(self.storage.blobs.items()):
            if container == "ledger" and (key := key_of(kind, name)):
                yield decode(key, stored.data)

    def runs(self, job: str) -> bool:
        """Whether a job costs money now."""
        found = self.workspace.jobs.find(job)
        return found is not None and found.status not in ("Completed", "Failed", "Canceled")

    def counts_as_training(self, job: str) -> bool:
        """Whether a job trains or has trained: it was not lost, and did not fail."""
        found = self.workspace.jobs.find(job)
        return found is not None and found.status not in ("Failed", "Canceled")

    def snapshot_of(self, job: str) -> str:
        """The snapshot that a job was made for, whatever its name is."""
        made = self.workspace.jobs.made.get(job)
        return made.value.tags[naming.TAG_SNAPSHOT] if made else ""
