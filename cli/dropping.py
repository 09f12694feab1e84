"""`droptune drop`: checks files as the app will, uploads them, the marker last, and follows the snapshot.

Dropping the same files again makes a new snapshot, which the app finds to be a duplicate before it costs anything.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.failures import CommandFailed, Exit, first_line
from shared import naming
from shared.chatdata.formats import EXTENSIONS, is_convertible
from shared.snapshots.paths import MARKER, OPTIONS, InvalidUpload, options_path, parse_path
from shared.validation.sources import files_of

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

    from cli.client import AppClient

CONTAINER = "snapshots"
# Blocks of one file, and files, that are sent at the same time.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Upload:
    """One file and the path that it gets in the container."""

    file: Path | None
    path: str

    @property
    def size(self) -> int:
        """In bytes; the marker has none."""
        return self.file.stat().st_size if self.file else 0


def drop(client: AppClient, source: Path, dataset: str, *, checked: bool, follow: bool, as_json: bool) -> Exit:
    """Checks, uploads and follows. The exit status says what became of it. Raises CommandFailed."""
    from cli import printing, watching

    uploads = plan(source, dataset)
    account = client.target.account()
    if checked and not _passes(client, source, as_json):
        return Exit.FAILED
    snapshot = upload(account, uploads, as_json)
    watching.await_snapshot(client, snapshot, uploads[-1].path)
    if follow:
        if not as_json:
            printing.print_line(f"{snapshot}: from here on it may be left alone, the app goes on")
        return watching.follow(client, snapshot, as_json)
    printing.print_result({"id": snapshot}, f"{snapshot} is on its way: `droptune watch {snapshot}`", as_json)
    return Exit.DONE


def _passes(client: AppClient, source: Path, as_json: bool) -> bool:
    """Whether the rows pass the rules, as far as they can be known here; the findings are printed if they do not, and
    if they do, what training on them will cost."""
    import sys

    from cli import check, console, costing, printing

    report = check.report_of([str(source)])
    if report is None:
        raise CommandFailed(Exit.USAGE, f"{source} could not be checked; --no-check drops it all the same")
    if not report.accepted and as_json:
        print(report.model_dump_json(indent=2))
    elif not report.accepted:
        console.write(report, sys.stdout)
        print(f"not dropped: mend the rows, or leave out the bad ones: `droptune prepare {source} --out FOLDER`")
        print("--no-check uploads them all the same; the app refuses them, until `droptune override` excuses them")
    elif not as_json and (cost := costing.cost_beforehand(client, report)):
        printing.print_line(cost)
    return report.accepted


def plan(source: Path, dataset: str = "", now: datetime | None = None) -> list[Upload]:
    """What is uploaded for a file or a folder, in order: the one that completes the snapshot comes last.

    A file becomes `<dataset>.jsonl`, a folder `<dataset>/<time>/`, so that what was left there by another drop does not
    join it. `dataset` defaults to the file's or folder's own name. Raises CommandFailed for what the app would refuse
    by its path.
    """
    if not source.exists():
        raise CommandFailed(Exit.NOT_FOUND, f"there is no file or folder {source}")
    is_folder = source.is_dir()
    uploads = _folder(source, dataset, now or datetime.now(UTC)) if is_folder else _single_file(source, dataset)
    try:
        for upload in uploads:
            parse_path(upload.path)
    except InvalidUpload as error:
        how = "" if dataset else "; --dataset NAME chooses another name"
        raise CommandFailed(Exit.USAGE, f"{error}{how}") from error
    return uploads


def _single_file(source: Path, dataset: str) -> list[Upload]:
    """A file, after the options that lie beside it. Raises CommandFailed for one that has to be prepared first."""
    extension = _extension(source.name)
    if extension not in EXTENSIONS:
        _refuse_convertible(source, [source])
        return [Upload(source, f"{dataset}{extension}" if dataset else source.name)]
    name = f"{dataset}{extension}" if dataset else source.name
    options = options_path(str(source))
    beside = [Upload(Path(options), options_path(name))] if Path(options).is_file() else []
    return [*beside, Upload(source, name)]


def _refuse_convertible(source: Path, files: Sequence[Path]) -> None:
    """Raises CommandFailed for files that `prepare` reads and the app does not."""
    other = next(
        (file for file in files if is_convertible(file.name) and _extension(file.name) not in EXTENSIONS), None
    )
    if other is not None:
        raise CommandFailed(
            Exit.USAGE,
            f"{other.name} has to be converted first: `droptune prepare {shlex.quote(str(source))} --out FOLDER`, then "
            "`droptune drop FOLDER`",
        )


def _folder(source: Path, dataset: str, now: datetime) -> list[Upload]:
    folder = source.resolve()
    base = f"{dataset or folder.name}/{now:%Y%m%d-%H%M%S}"
    try:
        files = files_of(folder)
    except ValueError as error:
        raise CommandFailed(Exit.USAGE, str(error)) from error
    _refuse_convertible(source, files)
    if not files:
        raise CommandFailed(Exit.USAGE, f"{source} has no .jsonl, .jsonl.gz or .parquet file")
    if (options := folder / OPTIONS).is_file():
        files = [*files, options]
    return [*(Upload(file, f"{base}/{file.name}") for file in files), Upload(None, f"{base}/{MARKER}")]


def _extension(name: str) -> str:
    """The extension that counts, or all that there is after the first dot: the app says what is wrong with it."""
    return next((known for known in EXTENSIONS if name.endswith(known)), "." + name.partition(".")[2])


def upload(account: BlobServiceClient, uploads: Sequence[Upload], quiet: bool = False) -> str:
    """Uploads all files and then the last one; the id of the snapshot that this makes. Raises CommandFailed."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        with _bar(sum(one.size for one in uploads), quiet) as progress, account, ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(_send, account, one, progress) for one in uploads[:-1]]:
                done.result()
            return _send(account, uploads[-1], progress)
    except ClientAuthenticationError as error:
        text = f"storage refused the sign-in: Storage Blob Data Contributor on `{CONTAINER}` is needed ({error.reason})"
        raise CommandFailed(Exit.NO_ACCESS, text) from error
    except (AzureError, OSError) as error:
        raise CommandFailed(Exit.UNREACHABLE, f"the upload was cut off, run it again: {first_line(error)}") from error


@contextmanager
def _bar(total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal while files are sent; hears how many bytes more there are."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda more: progress.advance(task, more)


def _send(account: BlobServiceClient, one: Upload, progress: Callable[[int], None]) -> str:
    """Uploads one file; the id of the snapshot that it would complete."""
    client = account.get_blob_client(CONTAINER, one.path)
    sent = 0

    def hook(current: int, _total: int | None) -> None:
        nonlocal sent
        progress(current - sent)
        sent = current

    if one.file is None:
        found = client.upload_blob(b"", overwrite=True)
    else:
        with one.file.open("rb") as file:
            found = client.upload_blob(
                file,
                length=os.fstat(file.fileno()).st_size,
                overwrite=True,
                max_concurrency=_AT_ONCE,
                progress_hook=hook,
            )
    parsed = parse_path(one.path)
    if parsed is None:
        return ""
    uploaded_at = found["last_modified"].timestamp()
    return naming.snapshot_id(parsed.dataset, uploaded_at, f"{CONTAINER}/{one.path}", str(found["etag"]))
