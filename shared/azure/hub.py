"""The Hugging Face Hub: the only file that streams it, by `datasets`, which is loaded when an import needs it.

Used by imports, a part of a split at a time, and by `droptune prepare`. What comes is rows as dictionaries; nothing is
downloaded as a whole, and no code of a dataset is run. `HF_ENDPOINT` names another Hub, `HF_TOKEN` opens what is not
public. Nothing of a dataset is kept between two calls but the listing of its files, which the next import drops.
"""

from __future__ import annotations

import gzip
import lzma
import os
import socket
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared.errors import PermanentError, ServiceBusy
from shared.ledger.record import cut

# `datasets` asks again by itself, so often and after so many seconds; whoever imports comes back anyway.
_RETRIES, _PAUSE = 2, 2
_LONGEST = 400
# Within so long (s) a connection to the Hub, or to the proxy before it, is there, or the Hub is out of reach.
CONNECT_SECONDS = 3.0
# Of each column of a Parquet file so much is read at once.
_BUFFER_BYTES = 1 << 20
# Errors by the names of their classes, which only the libraries have; and what they mean.
_NOT_THERE = {"DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError"}
_NO_ROWS = {"DataFilesNotFoundError", "EmptyDatasetError", "StopIteration"}
_UNREADABLE = {"DatasetsError", "ArrowNotImplementedError", "ArrowCapacityError", "ArrowSerializationError"}
# The same of Python's own classes: damage, a kind that has no reader here, rows that do not fit each other.
_DAMAGE = (ValueError, KeyError, TypeError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)
_NO_READER = (ImportError, NotImplementedError)
# Of the answers that refuse a request those that another time may not.
_LATER = (408, 425, 429)


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

    def unreachable(self, within: float = CONNECT_SECONDS) -> str:
        """Why no connection to the Hub can be made within so long (s), or nothing. Loads nothing."""
        host, port = _first_hop(endpoint())
        ended: list[str] = []

        def connect() -> None:
            try:
                socket.create_connection((host, port), timeout=within).close()
                ended.append("")
            except OSError as error:
                ended.append(error.strerror or str(error))

        # To ask a name server has no time limit of its own.
        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(within)
        why = ended[0] if ended else f"no connection within {within:g} s"
        return why and f"{host}: {why}"

    def commit(self, dataset: HubDataset) -> str:
        """The commit that a revision (empty: the newest) is now: a branch or a tag, or a commit that is the newest of
        one, or any commit of the main branch.

        Anybody may open a pull request, whose commits the Hub serves as if they were the owner's: HubRefused.
        """
        _load()
        from huggingface_hub import HfApi, HfFileSystem

        # The listings of all that was ever imported here would stay in memory.
        HfFileSystem.clear_instance_cache()
        hub, name, wanted = HfApi(), dataset.name, dataset.revision
        with _translated(name):
            if not wanted:
                return str(hub.dataset_info(name).sha)
            refs = hub.list_repo_refs(name, repo_type="dataset")
            for ref in (*refs.branches, *refs.tags):
                if wanted in (ref.name, ref.target_commit):
                    return str(ref.target_commit)
            if any(commit.commit_id == wanted for commit in hub.list_repo_commits(name, repo_type="dataset")):
                return wanted
        raise HubRefused(f"{name} has no branch or tag {wanted[:100]}, and no commit of this id on its main branch")

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


def endpoint() -> str:
    """The Hub's address."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def _first_hop(address: str) -> tuple[str, int]:
    """Where a connection goes first: to the address itself, or to the proxy of the environment."""
    from urllib.request import getproxies, proxy_bypass

    to = urlsplit(address)
    proxies = getproxies()
    proxy = proxies.get(to.scheme) or proxies.get("all", "")
    if proxy and not proxy_bypass(to.hostname or ""):
        to = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return to.hostname or "", to.port or (443 if to.scheme == "https" else 80)


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
        raise _translation(name, error) from error


def _translation(name: str, error: Exception) -> HubRefused | ServiceBusy:
    """What an error of the libraries means: that no repeat will help, or that one may."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    whole = " ".join(str(error).split())
    text = cut(whole, _LONGEST)
    said = f"{type(error).__name__}: {text}".rstrip(": ")
    status = getattr(getattr(error, "response", None), "status_code", None) or 0
    if "Config name is missing" in text or "BuilderConfig" in text:
        return HubRefused(f"{name} has several subsets: choose one. {text}")
    if kinds & _NOT_THERE:
        return HubRefused(f"on the Hub is no dataset {name} that this app may read, or no such revision")
    if kinds & _NO_ROWS:
        return HubRefused(f"{name} has no rows: no file of JSON, CSV, parquet, Arrow or text, or only empty ones")
    if "scripts are no longer supported" in text:
        return HubRefused(f"{name} is made by a program of its own, which is not run: choose one that is files of rows")
    # A file of the repository is not there; one that is missing on this machine has an errno, or was to be fetched.
    not_found = isinstance(error, FileNotFoundError) and error.errno is None and "LocalEntryNotFound" not in whole
    if isinstance(error, _DAMAGE) or kinds & _UNREADABLE or not_found:
        return HubRefused(f"{name} cannot be read: {said}")
    if isinstance(error, _NO_READER):
        return HubRefused(f"{name} is not made of rows of text: {said}")
    if 400 <= status < 500 and status not in _LATER:
        return HubRefused(f"the Hub does not give {name} to this app: {said}")
    return ServiceBusy(f"{name}: the Hub cannot be read now: {said}")
