"""Records with sound values in every field; a test names only what it is about."""

from __future__ import annotations

from typing import Any

from shared import naming
from shared.azure.inference import EndpointAnswer
from shared.azure.workspace.registry import RegistryModel
from shared.ledger.record import Struct
from shared.ledger.release import ModelRef, Release
from shared.ledger.rows import Dataset, Fault, HistoryEntry, ModelPin, ReportSummary, Request, Snapshot, SnapshotFile
from shared.ledger.states import DatasetState, SnapshotState
from tests.fakes import GPU, START

DATASET = "support-bot"
SNAPSHOT = f"{DATASET}-20260921141320-0123abcd"
NEWER = f"{DATASET}-20260922141320-89ef0123"
DEPLOYMENT = naming.deployment(SNAPSHOT, 1)
ENDPOINT = f"{DATASET}-0a1b2c3d"
URI = f"https://{ENDPOINT}.example.net/score"


def a_file(path: str = f"{DATASET}.jsonl", **changes: Any) -> SnapshotFile:
    """A pinned file."""
    return _with(SnapshotFile(path=path, etag="0x1", size=1000), changes)


def a_snapshot(state: SnapshotState = SnapshotState.RECEIVED, **changes: Any) -> Snapshot:
    """A snapshot that entered its state at the start of the test's clock."""
    row = Snapshot(
        id=SNAPSHOT,
        dataset=DATASET,
        state=state,
        source=f"{DATASET}.jsonl",
        uploaded_at=START,
        files=(a_file(),),
        history=(HistoryEntry(state=state, at=START),),
        poll_at=START,
    )
    return _with(row, changes)


def a_trained_snapshot(state: SnapshotState = SnapshotState.REGISTERED, **changes: Any) -> Snapshot:
    """A snapshot with everything that is known of it by then."""
    row = a_snapshot(
        state,
        base_model=ModelPin(registry="azureml", name="Phi-4", version="8", id="azureml://Phi-4/8"),
        component="chat_completion_pipeline:0.0.82",
        hyperparameters={"num_train_epochs": 1},
        digest="d" * 64,
        counts={"train": 30, "validation": 5, "test": 5},
        report=ReportSummary(blob=f"{SNAPSHOT}.json", verdict="accepted", rows=40, errors=0, warnings=0),
        job=f"dt-00000000-{SNAPSHOT}-1",
        job_status="Completed",
        studio_url="https://ml.example.net/runs/1",
        model=a_model(),
        poll_at=None,
    )
    return _with(row, changes)


def a_model(**changes: Any) -> ModelRef:
    """A registered model version."""
    return _with(ModelRef(name=f"Phi-4-{DATASET}", version="20260921141320-0123abcd-1"), changes)


def a_release(snapshot: str = SNAPSHOT, **changes: Any) -> Release:
    """A release with its deployment up."""
    row = Release(snapshot=snapshot, model=a_model(), deployment=naming.deployment(snapshot, 1), api="score")
    return _with(row, changes)


def a_dataset(state: DatasetState = DatasetState.LIVE, **changes: Any) -> Dataset:
    """A dataset; from LIVE on with a release that takes all the traffic."""
    row = Dataset(name=DATASET, state=state, seed=7, history=(HistoryEntry(state=state, at=START),))
    if state != DatasetState.EMPTY:
        row = row.but(live=a_release(), endpoint=ENDPOINT, before_rollout=DatasetState.LIVE)
    if state == DatasetState.LIVE:
        row = row.but(scoring_uri=URI, traffic={DEPLOYMENT: 100})
    return _with(row, changes)


def a_fault(**changes: Any) -> Fault:
    """A step that failed once."""
    return _with(Fault(type="ServiceBusy", message="HTTP 503", step="finish", count=1, since=START), changes)


def a_request(what: str = "wake", **changes: Any) -> Request:
    """A request on record."""
    return _with(Request(what=what, by="me", at=START), changes)


def a_base_model(**changes: Any) -> RegistryModel:
    """A model of the registry that may be trained and served on the usual size."""
    tags = {"finetune_compute_allow_list": f"['{GPU}']", "inference_compute_allow_list": f"['{GPU}']"}
    return _with(RegistryModel(name="Phi-4", version="8", id="azureml://Phi-4/8", archived=False, tags=tags), changes)


def an_answer(status: int = 200, text: str | None = "an answer", **changes: Any) -> EndpointAnswer:
    """What a deployment answered."""
    return EndpointAnswer(status, text if status == 200 else None, **{"deployment": DEPLOYMENT, **changes})


def _with[T: Struct](row: T, changes: dict[str, Any]) -> T:
    changed: T = row.but(**changes)
    return changed
