"""Every derived name in one place. A name is a function of what it names, so making a thing twice finds the first.

| thing | form |
|---|---|
| snapshot id | `<dataset>-<yyyymmddhhmmss>-<8 hex of url and ETag>` |
| job | `dt-<installation>-<snapshot id>-<attempt>` |
| model | `<base model>-<dataset>`, "/" becomes "-" |
| model version | `<yyyymmddhhmmss>-<8 hex>-<attempt>` |
| endpoint | `<dataset, shortened>-<8 hex of installation and dataset>[-<n>]` |
| deployment | `r<yyyymmddhhmmss>-<8 hex>[-<attempt>]` |
| import id | 16 hex of what was asked for |

The *installation* is a short hash of the ledger's address; it is also a tag on everything made, so that two
installations in one workspace never touch each other's resources.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

DATASET = re.compile(r"[a-z0-9][a-z0-9-]{1,40}")
SNAPSHOT_ID = re.compile(rf"(?P<dataset>{DATASET.pattern})-(?P<stamp>[0-9]{{14}})-(?P<hash>[0-9a-f]{{8}})")
JOB = re.compile(rf"dt-(?P<installation>[0-9a-f]{{8}})-(?P<snapshot>{SNAPSHOT_ID.pattern})-(?P<attempt>[0-9]+)")

IMPORT_ID = re.compile(r"[0-9a-f]{16}")

# Tags on everything made in the workspace.
TAG_INSTALLATION = "droptune.installation"
TAG_DATASET = "droptune.dataset"
TAG_SNAPSHOT = "droptune.snapshot"
TAG_ATTEMPT = "droptune.attempt"
# A tag that people put on an endpoint: the timer does not put it to sleep.
TAG_KEEP = "droptune.keep"


def short_hash(*parts: str) -> str:
    """Eight hex digits of the parts, NUL between them."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def installation(ledger_address: str) -> str:
    """The installation's short name: a hash of the address of the ledger container."""
    return short_hash(ledger_address.rstrip("/").lower())


def snapshot_id(dataset: str, uploaded_at: float, url: str, etag: str) -> str:
    """The id of a snapshot: known at the event, ordered by time within a dataset."""
    stamp = datetime.fromtimestamp(uploaded_at, UTC).strftime("%Y%m%d%H%M%S")
    return f"{dataset}-{stamp}-{short_hash(url, etag.strip(chr(34)))}"


def dataset_of(snapshot: str) -> str | None:
    """The dataset a snapshot id belongs to; None when it is no snapshot id."""
    match = SNAPSHOT_ID.fullmatch(snapshot)
    return match["dataset"] if match else None


def dataset_part(snapshot: str) -> str:
    """The same of what is known to be a snapshot id."""
    return snapshot.rsplit("-", 2)[0]


def upload_order(snapshot: str) -> tuple[str, ...]:
    """Time of upload (to the second) and hash of a snapshot's id: what orders snapshots of all datasets."""
    return tuple(snapshot.rsplit("-", 2)[1:])


def uploaded_at(snapshot: str) -> float:
    """When a snapshot was uploaded, by its id (UTC seconds, whole)."""
    stamp = upload_order(snapshot)[0]
    # Lists ask for each of their rows, and strptime takes ten times as long.
    return datetime.fromisoformat(f"{stamp[:8]}T{stamp[8:]}Z").timestamp()


def job(installation: str, snapshot: str, attempt: int) -> str:
    """The name of the training job of one attempt."""
    return f"dt-{installation}-{snapshot}-{attempt}"


def snapshot_of_job(installation: str, run: str) -> str | None:
    """The snapshot whose job this is; None for anybody else's run, child steps included."""
    match = JOB.fullmatch(run)
    return match["snapshot"] if match and match["installation"] == installation else None


def model(base_model: str, dataset: str) -> str:
    """The name under which a dataset's models are registered."""
    return f"{base_model.replace('/', '-')}-{dataset}"


def model_version(snapshot: str, attempt: int) -> str:
    """The version of the model of one attempt: derived, so that registering twice finds the first."""
    return f"{_tail(snapshot)}-{attempt}"


def endpoint(installation: str, dataset: str, suffix: int = 0) -> str:
    """The endpoint of a dataset: 3 to 32 characters, stable. `suffix`, up to 99: where that name is taken."""
    end = f"-{short_hash(installation, dataset)}" + (f"-{suffix}" if suffix else "")
    slug = re.sub(r"-+", "-", dataset if dataset[0].isalpha() else f"d{dataset}")[: 32 - len(end)].rstrip("-")
    return slug + end


def deployment(snapshot: str, attempt: int) -> str:
    """The deployment of one attempt at releasing a snapshot: 3 to 32 characters."""
    return f"r{_tail(snapshot)}" + (f"-{attempt}" if attempt > 1 else "")


def seed(dataset: str) -> int:
    """What the rows of a dataset are cut by: the same for all its snapshots."""
    return int(short_hash("seed", dataset), 16)


def frozen(snapshot: str, split: str) -> str:
    """The blob in `frozen` that holds the training rows of one split."""
    return f"{snapshot}/{split}.jsonl"


def report(snapshot: str) -> str:
    """The blob in `reports` that holds the validation report."""
    return f"{snapshot}.json"


def quarantine(snapshot: str) -> str:
    """The blob in `quarantine` that lists the rows left out."""
    return f"{snapshot}/rows.jsonl"


def work(snapshot: str, *conditions: str) -> str:
    """The folder in `work` for what was found out about the files of a snapshot under these conditions."""
    return f"{snapshot}/{short_hash(*conditions)}/"


def training_log(snapshot: str, attempt: int) -> str:
    """The blob in `reports` that holds the end of the log of a training step that failed."""
    return f"{snapshot}.training-{attempt}.log"


def notice(installation: str, *what: str) -> str:
    """The id of a notice: the same at each attempt to tell of it, another one for each thing that happens."""
    return hashlib.sha256("\0".join((installation, *what)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def training_metrics(snapshot: str, attempt: int) -> str:
    """The blob in `reports` that holds what the job of one attempt logged while it trained."""
    return f"{snapshot}.training-{attempt}.json"


def import_id(request: str) -> str:
    """The id of an import, made of what was asked for: asking twice finds the first."""
    return hashlib.sha256(request.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def tags(installation: str, dataset: str, snapshot: str, attempt: int) -> dict[str, str]:
    """The tags that say whose a resource is and where it came from."""
    return {
        TAG_INSTALLATION: installation,
        TAG_DATASET: dataset,
        TAG_SNAPSHOT: snapshot,
        TAG_ATTEMPT: str(attempt),
    }


def _tail(snapshot: str) -> str:
    """Time and hash of a snapshot id: what tells one dataset's snapshots apart."""
    return "-".join(upload_order(snapshot))
