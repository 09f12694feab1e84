"""The validate step: from what was dropped to frozen training files, or a refusal that says where and why.

Called by the queue function. One pass reads, checks, cuts and stages the rows; the training files come into being only
when the snapshot is accepted, is nobody's duplicate, and the dropped files are still the ones that were read. Cut off
anywhere, it starts again and finds its own claim and its own blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.chatdata.splits import Cuts
from shared.errors import (
    BadSnapshot,
    BlocksMissing,
    InvalidName,
    LedgerConflict,
    NotFound,
    NotReady,
    PermanentError,
    WorkerLost,
)
from shared.ledger.claims import claim_name
from shared.ledger.engine import Announcement, StepResult
from shared.ledger.rows import Check, Dataset, ReportSummary, Snapshot
from shared.ledger.states import UNCHECKED, SnapshotState
from shared.ledger.waiting import pause
from shared.snapshots import erasing
from shared.snapshots.blob_staging import BlobStaging
from shared.snapshots.distributed import DistributedValidation, FilesMissing
from shared.snapshots.inputs import inputs_of, is_distributed
from shared.snapshots.memory import OF_THIS_PROCESS, NoRoom, footprint
from shared.snapshots.part_results import forget_results, parts_of, results_of
from shared.snapshots.quarantine import quarantine_of
from shared.snapshots.training_config import TrainingConfig, resolve
from shared.training import attempt, preflight
from shared.training.submit import NEWER_WINS
from shared.validation import FrozenSnapshot, ValidationReport, freeze

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

# Who waits for a newer snapshot is told of its verdict. It asks by itself after so long (s), and then after twice as
# long, only because whoever was to tell it may have been cut off.
_ASK_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Validate:
    """RECEIVED -> VALIDATING -> VALIDATED, REJECTED, DUPLICATE, SUPERSEDED or CANCELED."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Always: a received snapshot is validated at once."""
        return True

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Resolves what the training will be made of, validates the files, and admits the snapshot or refuses it.

        Snapshots that waited for its verdict are told of it; of one whose place a newer one takes, that one told them.
        """
        if gone := erasing.end_if_deleted(self.services, row):
            return gone
        if row.cancel_request:
            return self._telling_older(row, attempt.canceled(self.services, row))
        if newer := self._superseded_by(row):
            return self._ended(SnapshotState.SUPERSEDED, f"{newer} is newer", {"blocked": (Check.SUPERSEDED,)})
        return self._telling_older(row, self._checked(row, lease))

    def _checked(self, row: Snapshot, lease: HeldLease) -> StepResult:
        try:
            config = resolve(self.services, row, before_spending=True)
            frozen = self._validated(row, config, lease)
        except FilesMissing as wait:
            # A file's check failed and is tried again: the fault stays on record, or nobody could count.
            fault = row.fault if wait.failed else None
            return StepResult(row.state, "", {"fault": fault, "waiting": str(wait)}, poll_in=wait.retry_after)
        except NoRoom as wait:  # what happened before is not undone by waiting
            return StepResult(row.state, "", {"fault": row.fault, "waiting": str(wait)}, poll_in=wait.retry_after)
        except (LedgerConflict, NotFound):
            if changed := _changed_file(self.services, row):
                return self._ended(SnapshotState.SUPERSEDED, f"{changed} while it was read")
            raise
        summary = _store_report(self.services, row, frozen.report.model_copy(update={"notes": config.notes}))
        changes = {
            **config.pinned,
            "report": summary,
            "digest": frozen.digest,
            "counts": dict(frozen.rows),
            "blocked": (),
        }
        if not frozen.report.accepted:
            changes["blocked"] = (Check.BAD_ROWS,) if summary.bad_rows else ()
            return self._ended(SnapshotState.REJECTED, frozen.report.summary, changes)
        return self._admit(row, frozen, changes)

    def _superseded_by(self, row: Snapshot) -> str:
        """A newer snapshot of the dataset that is accepted, for which this one need not be read; or nothing.

        Of two contents of one blob that were uploaded in one second both are read: which of them is there now is not
        known before. Raises NotReady while a newer one is checked: this one is read only if that is refused.
        """
        if Check.SUPERSEDED in row.overrides:
            return ""
        ledger = self.services.ledger
        # In this order: one that is accepted between the two questions is found by the second.
        first = ledger.newer(row, UNCHECKED, moves=True, surely=True)
        if newer := ledger.newer(row, NEWER_WINS, surely=True):
            return newer
        if first:
            waited = self.services.clock() - row.since
            raise NotReady(f"{first} is newer and is checked first", pause(waited, _ASK_AGAIN, share=1))
        return ""

    def _telling_older(self, row: Snapshot, result: StepResult) -> StepResult:
        """The result; those that may wait for it are to be told: all if it is accepted, else the next in line."""
        if result.state in UNCHECKED:
            return result
        waiting = self.services.ledger.older(row, UNCHECKED)
        next_in_line = waiting if result.state == SnapshotState.VALIDATED else waiting[-1:]
        return replace(result, then=(*result.then, *map(Announcement, next_in_line)))

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult | None:
        """What cannot be trained on is refused with the error's own words; anything else is a fault for a person."""
        if not isinstance(error, BadSnapshot | InvalidName | WorkerLost):
            return None
        blocked = error.checks if isinstance(error, preflight.PreflightFailed) else ()
        return self._telling_older(row, self._ended(SnapshotState.REJECTED, str(error), {"blocked": blocked}))

    def _validated(self, row: Snapshot, config: TrainingConfig, lease: HeldLease) -> FrozenSnapshot:
        """What validation made of the files. Raises LedgerConflict or NotFound when one was changed meanwhile."""
        if is_distributed(self.services, row):
            _require_unchanged(self.services, row)
            inputs = inputs_of(self.services, row, config.policy)
            results = results_of(self.services.storage, inputs, self.services.clock)
            validation = DistributedValidation(results, inputs, parts_of(inputs, results))
            frozen = validation.assemble(lease, self.services.clock() - row.since)
            _require_unchanged(self.services, row)
            return frozen
        inputs = inputs_of(self.services, row, config.policy)
        quarantine = quarantine_of(self.services.storage, row.id)
        size = footprint(
            sum(source.text_size for source in inputs.sources),
            parquet=any(source.known_format == "parquet" for source in inputs.sources),
        )
        was_lost = row.fault is not None and row.fault.type == WorkerLost.__name__
        with OF_THIS_PROCESS.room_for(size, self.services.settings.validation_memory_mb, alone=was_lost):
            frozen = freeze(
                inputs.sources,
                inputs.policy,
                seed=inputs.plan.seed,
                cuts=inputs.plan.cuts,
                staging=inputs.staging,
                quarantine=quarantine.add,
                heartbeat=lease.check,
            )
        _require_unchanged(self.services, row)
        quarantine.close()
        return frozen

    def _admit(self, row: Snapshot, frozen: FrozenSnapshot, changes: dict[str, Any]) -> StepResult:
        """Claims the content and makes the training files; DUPLICATE when another snapshot has the claim."""
        claim = claim_name(row, changes)
        holder = "" if Check.DUPLICATE in row.overrides else self.services.claims.take(claim, row.id)
        if holder:
            reason = f"the same rows, model and hyperparameters as {holder}"
            changes |= {"duplicate_of": holder, "blocked": (Check.DUPLICATE,)}
            return self._ended(SnapshotState.DUPLICATE, reason, changes)
        # The dataset keeps the cuts before any row is frozen by them, and they never go down.
        dataset = self.services.ledger.change(f"dataset/{row.dataset}", lambda d: _with_cuts(d, frozen.cuts)).row
        if Cuts(dataset.cut_test, dataset.cut_validation) != frozen.cuts:
            raise NotReady("another snapshot of the dataset holds out more rows since: the pass is made again", 1)
        try:
            frozen.commit(BlobStaging(self.services.storage, row.id))
        except BlocksMissing as error:
            forget_results(self.services.storage, row.id)
            raise NotReady("what was staged is gone: the files are read again", 1) from error
        return StepResult(SnapshotState.VALIDATED, frozen.report.summary, {**changes, "claim": claim})

    def _ended(self, state: SnapshotState, reason: str, changes: dict[str, Any] | None = None) -> StepResult:
        """An end state, which is cleaned up after the keep time."""
        return StepResult(state, reason, changes or {}, poll_in=self.services.settings.keep_days * 86_400)


def _require_unchanged(services: Services, row: Snapshot) -> None:
    """Raises LedgerConflict if a file with rows is not the one that was dropped any more."""
    if changed := _changed_file(services, row, with_options=False):
        raise LedgerConflict(changed)


def _changed_file(services: Services, row: Snapshot, with_options: bool = True) -> str:
    """`<path> was overwritten` or `<path> was deleted`, for the first file that is not the dropped one; else empty."""
    options = (row.options,) if with_options and row.options else ()
    for file in (*row.files, *options):
        try:
            if services.storage.head("snapshots", file.path).etag != file.etag:
                return f"{file.path} was overwritten"
        except NotFound:
            return f"{file.path} was deleted"
    return ""


def _store_report(services: Services, row: Snapshot, report: ValidationReport) -> ReportSummary:
    name = naming.report(row.id)
    services.storage.put("reports", name, report.model_dump_json(indent=1).encode())
    return ReportSummary(
        blob=name,
        verdict=report.verdict,
        rows=report.rows,
        errors=sum(finding.count for finding in report.findings if finding.severity == "error"),
        warnings=sum(finding.count for finding in report.findings if finding.severity != "error"),
        bad_rows=report.bad_rows,
        notes=tuple(report.notes),
        tokens_per_row=round(
            report.statistics.estimated_tokens.total / max(1, report.good_rows + report.duplicate_rows), 1
        ),
    )


def _with_cuts(dataset: Dataset, cuts: Cuts) -> Dataset:
    raised = Cuts(dataset.cut_test, dataset.cut_validation).raised(cuts.test, cuts.validation)
    changed: Dataset = dataset.but(cut_test=raised.test, cut_validation=raised.validation)
    return changed
