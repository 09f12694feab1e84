"""The validate step: from what was dropped to frozen training files, or a refusal that says where and why.

One pass reads, checks, cuts and stages the rows; the training files come into being only when the snapshot is accepted,
is nobody's duplicate, and the dropped files are still the ones that were read. Cut off anywhere, it starts again and
finds its own claim and its own blocks.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.chatdata.splits import Cuts, Shares, Split
from shared.config import hyperparameters
from shared.config.options import MOST_BYTES, parsed
from shared.errors import BadSnapshot, LedgerConflict, NotFound, NotReady, PermanentError
from shared.ledger.claims import claim_name
from shared.ledger.engine import StepResult
from shared.ledger.rows import Check, ModelPin, ReportSummary, Snapshot
from shared.ledger.states import SnapshotState
from shared.snapshots.filewise import Filewise
from shared.snapshots.limits import context_of, policy_of
from shared.snapshots.quarantine import Quarantine
from shared.training import preflight
from shared.validation import Frozen, Report, Source, freeze
from shared.validation.snapshot import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.azure.storage import Storage
    from shared.azure.workspace.registry import RegistryModel
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services


@dataclass(frozen=True, slots=True)
class Validate:
    """RECEIVED -> VALIDATING -> VALIDATED, REJECTED, DUPLICATE or SUPERSEDED."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Always: a received snapshot is validated at once."""
        return True

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Pins the model and the component, then makes the pass over the files."""
        try:
            options = _options(self.services, row)
            model = _base_model(self.services, row, options)
            pinned = _pinned(self.services, row, model, options)
            preflight.check(self.services, row, model, _mend(row, options))
            frozen = self._pass(row, options, model, lease)
        except (LedgerConflict, NotFound):
            reason = f"{row.source} was overwritten while it was read"
            return StepResult(SnapshotState.SUPERSEDED, reason, poll_in=self._keep())
        summary = _store_report(self.services, row, frozen.report)
        changes = {**pinned, "report": summary, "digest": frozen.digest, "counts": dict(frozen.rows), "blocked": ()}
        if not frozen.report.accepted:
            if summary.bad_rows:
                changes["blocked"] = (Check.BAD_ROWS,)
            return StepResult(SnapshotState.REJECTED, frozen.report.summary, changes, poll_in=self._keep())
        return self._admitted(row, frozen, changes)

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult:
        """What cannot be trained on is refused with the error's own words."""
        blocked = error.checks if isinstance(error, preflight.PreflightFailed) else ()
        return StepResult(SnapshotState.REJECTED, str(error), {"blocked": blocked}, poll_in=self._keep())

    def _pass(self, row: Snapshot, options: dict[str, Any], model: RegistryModel, lease: HeldLease) -> Frozen:
        files = _filewise(self.services, row, options, model)
        quarantine = Quarantine(self.services.storage, row.id)
        if _is_spread(self.services, row):
            _look_unchanged(self.services, row)
            frozen = files.assemble(lease, self.services.clock() - row.since)
        else:
            frozen = freeze(
                files.sources,
                files.policy,
                seed=files.plan.seed,
                cuts=files.plan.cuts,
                staging=files.staging,
                quarantine=quarantine.add,
                heartbeat=lease.check,
            )
        _look_unchanged(self.services, row)  # the pass is over: was it all of one version?
        quarantine.close()
        return frozen

    def _admitted(self, row: Snapshot, frozen: Frozen, changes: dict[str, Any]) -> StepResult:
        claim = claim_name(row, changes)
        holder = "" if Check.DUPLICATE in row.overrides else self.services.claims.take(claim, row.id)
        if holder:
            return StepResult(
                SnapshotState.DUPLICATE,
                f"the same rows, model and hyperparameters as {holder}",
                {**changes, "duplicate_of": holder, "blocked": (Check.DUPLICATE,)},
                poll_in=self._keep(),
            )
        # The cuts are kept with the dataset before any row is frozen by them: they never go down.
        kept = self.services.ledger.change(f"dataset/{row.dataset}", lambda d: _with_cuts(d, frozen.cuts)).row
        if Cuts(kept.cut_test, kept.cut_validation) != frozen.cuts:
            raise NotReady("another snapshot of the dataset holds out more rows since: the pass is made again", 1)
        frozen.commit(BlobStaging(self.services.storage, row.id))
        return StepResult(SnapshotState.VALIDATED, frozen.report.summary, {**changes, "claim": claim})

    def _keep(self) -> float:
        return self.services.settings.keep_days * 86_400


def check_file(services: Services, key: str, number: str) -> str:
    """Checks one file of a snapshot that is being validated, and says in a word or two what was done.

    Harmless to repeat: what was done is not done again, and what is not wanted any more is not done.
    """
    try:
        row: Snapshot = services.ledger.read(key).row
    except NotFound:
        return "unknown"
    if row.state != SnapshotState.VALIDATING or not _is_spread(services, row):
        return "not due"
    if not number.isdecimal():
        return "unknown"
    try:
        options = _options(services, row)
        files = _filewise(services, row, options, _base_model(services, row, options))
    except (PermanentError, LedgerConflict, NotFound):
        return "refused"  # by the step as well, with a reason on record
    return files.check(int(number))


def _is_spread(services: Services, row: Snapshot) -> bool:
    """Whether the snapshot's files are checked one by one, by several instances."""
    least = services.settings.validation_spread_from_mb * 1e6
    return len(row.files) > 1 and sum(file.size for file in row.files) >= least


def _filewise(services: Services, row: Snapshot, options: dict[str, Any], model: RegistryModel) -> Filewise:
    dataset = services.ledger.dataset(row.dataset).row
    sources = _sources(services, row)
    return Filewise(
        services.ledger,
        services.storage,
        row.id,
        sources,
        policy_of(services.settings, row, options, model),
        plan_of(sources, dataset.seed, Cuts(dataset.cut_test, dataset.cut_validation), Shares()),
        BlobStaging(services.storage, row.id),
    )


def _look_unchanged(services: Services, row: Snapshot) -> None:
    """Raises LedgerConflict or NotFound if a file is not the one that was dropped any more."""
    for file in row.files:
        if services.storage.head("snapshots", file.path).etag != file.etag:
            raise LedgerConflict(f"{file.path} was overwritten")


@dataclass(frozen=True, slots=True)
class BlobStaging:
    """The training files of one snapshot as uncommitted blocks in `frozen/<id>/`."""

    storage: Storage
    snapshot: str

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Uploads one block; block ids of one blob all have the same length."""
        self.storage.stage("frozen", naming.frozen(self.snapshot, split), _block(block_id), data)

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Makes the file of these blocks."""
        self.storage.commit("frozen", naming.frozen(self.snapshot, split), [_block(b) for b in block_ids])


def _options(services: Services, row: Snapshot) -> dict[str, Any]:
    """The snapshot's own `snapshot.json`, as it was dropped. Raises BadSnapshot for what it may not hold."""
    if row.options is None:
        return {}
    path, size = row.options.path, row.options.size
    with services.storage.open("snapshots", path, row.options.etag) as file:
        return parsed(file.read(min(size, MOST_BYTES + 1)), path)


def _base_model(services: Services, row: Snapshot, options: dict[str, Any]) -> RegistryModel:
    """The base model, resolved to one version. Raises BadSnapshot when there is none."""
    name = options.get("base_model", services.settings.base_model)
    wanted = options.get("base_model_version", "" if "base_model" in options else services.settings.base_model_version)
    model = services.workspace.registry.model(name, wanted)
    where = f"{name}{':' + wanted if wanted else ''} in registry {services.settings.registry}"
    if model is None:
        use = f"use a live one{preflight.alternative(services, name)}"
        raise BadSnapshot(f"base model {where} does not exist, {use}: {_mend(row, options)}")
    return model


def _mend(row: Snapshot, options: dict[str, Any]) -> str:
    """Where the base model is chosen."""
    return f"correct it in {row.options.path}" if row.options and "base_model" in options else "change BASE_MODEL"


def _pinned(services: Services, row: Snapshot, model: RegistryModel, options: dict[str, Any]) -> dict[str, Any]:
    """What the training will be made of, resolved before any money is spent."""
    given = services.settings
    component = services.workspace.registry.component(given.component, given.component_version)
    if component is None:
        raise BadSnapshot(f"component {given.component} {given.component_version} is not in registry {given.registry}")
    values = hyperparameters.merged(
        (
            "the model's tag model_specific_defaults",
            hyperparameters.from_tag(model.tags.get("model_specific_defaults")),
        ),
        ("HYPERPARAMETERS", given.hyperparameters),
        (row.options.path if row.options else "snapshot.json", options.get("hyperparameters", {})),
    )
    return {
        "base_model": ModelPin(registry=given.registry, name=model.name, version=model.version, id=model.id),
        "context_tokens": context_of(model),
        "component": f"{given.component}:{component}",
        "hyperparameters": values.inputs(),
        "note": str(options.get("note", ""))[:500],
    }


def _sources(services: Services, row: Snapshot) -> Sequence[Source]:
    storage = services.storage
    return [
        Source(
            path=file.path,
            open=lambda file=file: storage.open("snapshots", file.path, file.etag),  # type: ignore[misc]
            size=file.size,
            split=file.split,  # type: ignore[arg-type]
        )
        for file in row.files
    ]


def _store_report(services: Services, row: Snapshot, report: Report) -> ReportSummary:
    name = naming.report(row.id)
    services.storage.put("reports", name, report.model_dump_json(indent=1).encode())
    return ReportSummary(
        blob=name,
        verdict=report.verdict,
        rows=report.rows,
        errors=sum(f.count for f in report.findings if f.severity == "error"),
        warnings=sum(f.count for f in report.findings if f.severity != "error"),
        bad_rows=report.bad_rows,
    )


def _with_cuts(dataset: Any, cuts: Cuts) -> Any:
    raised = Cuts(dataset.cut_test, dataset.cut_validation).raised(cuts.test, cuts.validation)
    return dataset.but(cut_test=raised.test, cut_validation=raised.validation)


def _block(block_id: str) -> str:
    return base64.b64encode(block_id.encode()).decode()
