"""The Hugging Face Hub: the only file that streams it, by `datasets`, which is loaded when an import needs it.

Used by imports, a part of a split at a time. What comes is rows as dictionaries; nothing is downloaded as a whole, and
no code of a dataset is run. `HF_ENDPOINT` names another Hub, `HF_TOKEN` opens what is not public.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared.errors import PermanentError, ServiceBusy

# `datasets` asks again by itself, so often and after so many seconds; whoever imports comes back anyway.
_RETRIES, _PAUSE = 2, 2
_LONGEST, _CONNECT_SECONDS = 400, 3.0
# Of each column of a Parquet file so much is read at once.
_BUFFER_BYTES = 1 << 20
_REFUSED = ("DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError")


class HubRefused(PermanentError):
    """The Hub has no such dataset for this app, or it cannot be read: the text says what to change."""


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A dataset at one revision. `subset`: empty where there is only one."""

    name: str
    subset: str = ""
    revision: str = ""


class Hub:
    """Datasets by name. Raises HubRefused for what no repeat will help, ServiceBusy for all else."""

    def unreachable(self) -> str:
        """Why no connection to the Hub can be made, or nothing. Loads nothing, and takes a few seconds at most."""
        address = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            socket.create_connection((address.hostname or "", port), timeout=_CONNECT_SECONDS).close()
        except OSError as error:
            return f"{address.hostname}: {error.strerror or error}"
        return ""

    def commit(self, dataset: HubDataset) -> str:
        """The commit that a revision (empty: the newest) is now: a branch, a tag, or a commit of the main branch.

        Anybody may open a pull request, whose commits the Hub serves as if they were the owner's: HubRefused.
        """
        _load()
        from huggingface_hub import HfApi

        hub, name, wanted = HfApi(), dataset.name, dataset.revision
        with _translated(name):
            if not wanted:
                return str(hub.dataset_info(name).sha)
            refs = hub.list_repo_refs(name, repo_type="dataset")
            for ref in (*refs.branches, *refs.tags):
                if wanted == ref.name:
                    return str(ref.target_commit)
            if any(commit.commit_id == wanted for commit in hub.list_repo_commits(name, repo_type="dataset")):
                return wanted
        raise HubRefused(f"{name} has no branch or tag {wanted[:100]}, and its main branch no commit of this id")

    def splits(self, dataset: HubDataset) -> Mapping[str, int]:
        """The splits by name, and of how many files each is made."""
        return {name: max(1, int(split.num_shards)) for name, split in self._open(dataset).items()}

    def rows(self, dataset: HubDataset, split: str, part: int, parts: int) -> Iterator[Mapping[str, Any]]:
        """The rows of one of so many parts of a split, streamed; always the same ones in the same order."""
        found = self._open(dataset)[split]
        with _translated(dataset.name):
            whole = min(parts, found.num_shards) <= 1
            yield from found if whole else found.shard(num_shards=parts, index=part)

    def _open(self, dataset: HubDataset) -> Mapping[str, Any]:
        _load()
        from datasets import load_dataset_builder  # type: ignore[import-untyped]
        from pyarrow.dataset import ParquetFragmentScanOptions  # type: ignore[import-untyped]

        with _translated(dataset.name):
            builder = load_dataset_builder(dataset.name, dataset.subset or None, revision=dataset.revision or None)
            if hasattr(builder.config, "fragment_scan_options"):
                # Left to itself Arrow reads ahead as fast as it can, and has all of a Parquet file in memory.
                builder.config.fragment_scan_options = ParquetFragmentScanOptions(
                    pre_buffer=False, use_buffered_stream=True, buffer_size=_BUFFER_BYTES
                )
            opened: Mapping[str, Any] = builder.as_streaming_dataset()
        return opened


def _load() -> None:
    """Loads `datasets`, which keeps what it downloads where a function app may write."""
    os.environ.setdefault("HF_HOME", str(Path(tempfile.gettempdir()) / "huggingface"))
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets

    datasets.config.STREAMING_READ_MAX_RETRIES = _RETRIES
    datasets.config.STREAMING_READ_RETRY_INTERVAL = _PAUSE


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except (PermanentError, ServiceBusy, GeneratorExit):
        raise
    except Exception as error:
        kind, text = type(error).__name__, " ".join(str(error).split())[:_LONGEST]
        if "Config name is missing" in text or "BuilderConfig" in text:
            raise HubRefused(f"{name} has several subsets: choose one. {text}") from error
        if kind in _REFUSED:
            raise HubRefused(f"on the Hub is no dataset {name} that this app may read, or no such revision") from error
        if isinstance(error, ValueError | KeyError | TypeError) or kind.startswith(("Arrow", "DatasetGeneration")):
            raise HubRefused(f"{name} cannot be read: {kind}: {text}") from error
        raise ServiceBusy(f"{name}: the Hub cannot be read now: {kind}: {text}") from error
