"""The validate step: from what was dropped to frozen training files, or a refusal that says where and why.

One pass reads, checks, cuts and stages the rows; the training files come into being only when the snapshot is accepted,
is nobody's duplicate, and the dropped files are still the ones that were read. Cut off anywhere, it starts again and
finds its own claim and its own blocks.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import hyperparameters, naming, precheck, snapshot_options
from shared.errors import BadSnapshot, LedgerConflict, PermanentError, Unknown, Waiting
from shared.filewise import Filewise
from shared.ledger import Outcome
from shared.lifecycle import SnapshotState
from shared.limits import context_of, policy_of
from shared.quarantine import Quarantine
from shared.records import Check, ModelPin, ReportSummary, Snapshot
from shared.splits import Cuts, Shares, Split
from shared.validation import Frozen, Report, Source, freeze
from shared.validation.snapshot import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.clients import Parts
    from shared.records import BaseModel
    from shared.storage import Lease, Storage

# States whose snapshots train nothing, unless somebody asks for it: their claims may be taken over.
_WITHOUT_CLAIM = frozenset(
    {
        SnapshotState.REJECTED,
        SnapshotState.DUPLICATE,
        SnapshotState.SUPERSEDED,
        SnapshotState.TRAINING_FAILED,
        SnapshotState.CLEANING,
        SnapshotState.CLEANED,
    }
)


@dataclass(frozen=True, slots=True)
class Validate:
    """RECEIVED -> VALIDATING -> VALIDATED, REJECTED, DUPLICATE or SUPERSEDED."""

    parts: Parts

    def ready(self, row: Snapshot) -> bool:
        """Always: a received snapshot is validated at once."""
        return True

    def act(self, row: Snapshot, lease: Lease) -> Outcome:
        """Pins the model and the component, then makes the pass over the files."""
        try:
            options = _options(self.parts, row)
            model = _base_model(self.parts, row, options)
            pinned = _pinned(self.parts, row, model, options)
            precheck.refuse(self.parts, row, model, _mend(row, options))
            frozen = self._pass(row, options, model, lease)
        except (LedgerConflict, Unknown):
            reason = f"{row.source} was overwritten while it was read"
            return Outcome(SnapshotState.SUPERSEDED, reason, look_in=self._keep())
        summary = _store_report(self.parts, row, frozen.report)
        changes = {**pinned, "report": summary, "digest": frozen.digest, "counts": dict(frozen.rows), "blocked": ()}
        if not frozen.report.accepted:
            if summary.bad_rows:
                changes["blocked"] = (Check.BAD_ROWS,)
            return Outcome(SnapshotState.REJECTED, frozen.report.summary, changes, look_in=self._keep())
        return self._admitted(row, frozen, changes)

    def failed(self, row: Snapshot, error: PermanentError) -> Outcome:
        """What cannot be trained on is refused with the error's own words."""
        blocked = error.checks if isinstance(error, precheck.Refusal) else ()
        return Outcome(SnapshotState.REJECTED, str(error), {"blocked": blocked}, look_in=self._keep())

    def _pass(self, row: Snapshot, options: dict[str, Any], model: BaseModel, lease: Lease) -> Frozen:
        files = _filewise(self.parts, row, options, model)
        quarantine = Quarantine(self.parts.storage, row.id)
        if _is_spread(self.parts, row):
            _look_unchanged(self.parts, row)
            frozen = files.assemble(lease, self.parts.clock() - row.since)
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
        _look_unchanged(self.parts, row)  # the pass is over: was it all of one version?
        quarantine.close()
        return frozen

    def _admitted(self, row: Snapshot, frozen: Frozen, changes: dict[str, Any]) -> Outcome:
        claim = _claim_name(row, changes)
        holder = "" if Check.DUPLICATE in row.overrides else _claimed(self.parts, claim, row.id)
        if holder:
            return Outcome(
                SnapshotState.DUPLICATE,
                f"the same rows, model and hyperparameters as {holder}",
                {**changes, "duplicate_of": holder, "blocked": (Check.DUPLICATE,)},
                look_in=self._keep(),
            )
        # The cuts are kept with the dataset before any row is frozen by them: they never go down.
        kept = self.parts.ledger.change(f"dataset/{row.dataset}", lambda d: _with_cuts(d, frozen.cuts)).row
        if Cuts(kept.cut_test, kept.cut_validation) != frozen.cuts:
            raise Waiting("another snapshot of the dataset holds out more rows since: the pass is made again", 1)
        frozen.commit(BlobStaging(self.parts.storage, row.id))
        return Outcome(SnapshotState.VALIDATED, frozen.report.summary, {**changes, "claim": claim})

    def _keep(self) -> float:
        return self.parts.settings.keep_days * 86_400


def check_file(parts: Parts, key: str, number: str) -> str:
    """Checks one file of a snapshot that is being validated, and says in a word or two what was done.

    Harmless to repeat: what was done is not done again, and what is not wanted any more is not done.
    """
    try:
        row: Snapshot = parts.ledger.read(key).row
    except Unknown:
        return "unknown"
    if row.state != SnapshotState.VALIDATING or not _is_spread(parts, row):
        return "not due"
    if not number.isdecimal():
        return "unknown"
    try:
        options = _options(parts, row)
        files = _filewise(parts, row, options, _base_model(parts, row, options))
    except (PermanentError, LedgerConflict, Unknown):
        return "refused"  # by the step as well, with a reason on record
    return files.check(int(number))


def _is_spread(parts: Parts, row: Snapshot) -> bool:
    """Whether the snapshot's files are checked one by one, by several instances."""
    least = parts.settings.validation_spread_from_mb * 1e6
    return len(row.files) > 1 and sum(file.size for file in row.files) >= least


def _filewise(parts: Parts, row: Snapshot, options: dict[str, Any], model: BaseModel) -> Filewise:
    dataset = parts.ledger.dataset(row.dataset).row
    sources = _sources(parts, row)
    return Filewise(
        parts.ledger,
        row.id,
        sources,
        policy_of(parts.settings, row, options, model),
        plan_of(sources, dataset.seed, Cuts(dataset.cut_test, dataset.cut_validation), Shares()),
        BlobStaging(parts.storage, row.id),
    )


def _look_unchanged(parts: Parts, row: Snapshot) -> None:
    """Raises LedgerConflict or Unknown if a file is not the one that was dropped any more."""
    for file in row.files:
        if parts.storage.look("snapshots", file.path).etag != file.etag:
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


def release_claim(parts: Parts, row: Snapshot) -> None:
    """Lets others train this content: the training of this snapshot failed. Only its own claim is removed."""
    if not row.claim:
        return
    with contextlib.suppress(Unknown, LedgerConflict):  # it is gone, or somebody else's by now
        data, etag = parts.storage.read("ledger", row.claim)
        if json.loads(data)["snapshot"] == row.id:
            parts.storage.delete("ledger", row.claim, etag)


def claim(parts: Parts, row: Snapshot) -> str:
    """Claims the snapshot's content (again, before it is trained); the id of whoever has it otherwise.

    A duplicate that a person wants trained all the same needs no claim.
    """
    return _claimed(parts, row.claim, row.id) if row.claim and Check.DUPLICATE not in row.overrides else ""


def _claimed(parts: Parts, name: str, snapshot: str) -> str:
    """Takes the claim, and returns the id of its holder if that is another snapshot which trains or has trained.

    A holder that was cut off may have ended without giving its claim back: then it is taken over. One's own is written
    again, so that whoever was about to take it over finds another ETag.
    """
    mine = json.dumps({"snapshot": snapshot}).encode()
    while True:
        try:
            parts.storage.create("ledger", name, mine)
            return ""
        except LedgerConflict:
            pass
        try:
            found, etag = parts.storage.read("ledger", name)
            holder: str = json.loads(found)["snapshot"]
            if holder != snapshot and _trains(parts, holder):
                return holder
            parts.storage.replace("ledger", name, mine, etag)
            return ""
        except (Unknown, LedgerConflict):
            continue  # given back or taken meanwhile: look again


def _trains(parts: Parts, holder: str) -> bool:
    """Whether a snapshot is on its way to a trained model, or has one."""
    try:
        return parts.ledger.read(f"snapshot/{holder}").row.state not in _WITHOUT_CLAIM
    except Unknown:
        return False


def _claim_name(row: Snapshot, changes: dict[str, Any]) -> str:
    """Same dataset, rows, model, component and hyperparameters: the same training."""
    what = [
        row.dataset,
        changes["digest"],
        changes["base_model"].id,
        changes["component"],
        changes["hyperparameters"],
    ]
    return f"claims/{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()}.json"


def _options(parts: Parts, row: Snapshot) -> dict[str, Any]:
    """The snapshot's own `snapshot.json`, as it was dropped. Raises BadSnapshot for what it may not hold."""
    if row.options is None:
        return {}
    path, size = row.options.path, row.options.size
    with parts.storage.open("snapshots", path, row.options.etag) as file:
        return snapshot_options.parsed(file.read(min(size, snapshot_options.MOST_BYTES + 1)), path)


def _base_model(parts: Parts, row: Snapshot, options: dict[str, Any]) -> BaseModel:
    """The base model, resolved to one version. Raises BadSnapshot when there is none."""
    name = options.get("base_model", parts.settings.base_model)
    wanted = options.get("base_model_version", "" if "base_model" in options else parts.settings.base_model_version)
    model = parts.workspace.base_model(name, wanted)
    where = f"{name}{':' + wanted if wanted else ''} in registry {parts.settings.registry}"
    if model is None:
        use = f"use a live one{precheck.alternative(parts, name)}"
        raise BadSnapshot(f"base model {where} does not exist, {use}: {_mend(row, options)}")
    return model


def _mend(row: Snapshot, options: dict[str, Any]) -> str:
    """Where the base model is chosen."""
    return f"correct it in {row.options.path}" if row.options and "base_model" in options else "change BASE_MODEL"


def _pinned(parts: Parts, row: Snapshot, model: BaseModel, options: dict[str, Any]) -> dict[str, Any]:
    """What the training will be made of, resolved before any money is spent."""
    given = parts.settings
    component = parts.workspace.component(given.component, given.component_version)
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


def _sources(parts: Parts, row: Snapshot) -> Sequence[Source]:
    storage = parts.storage
    return [
        Source(
            path=file.path,
            open=lambda file=file: storage.open("snapshots", file.path, file.etag),  # type: ignore[misc]
            size=file.size,
            split=file.split,  # type: ignore[arg-type]
        )
        for file in row.files
    ]


def _store_report(parts: Parts, row: Snapshot, report: Report) -> ReportSummary:
    name = naming.report(row.id)
    parts.storage.put("reports", name, report.model_dump_json(indent=1).encode())
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
