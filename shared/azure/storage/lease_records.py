"""Which leases the processes of this machine hold, on its own disk: nobody waits for one whose process was killed.

A lease in storage outlasts a lost holder by up to 20 s, and storage does not say who holds it. So each holder writes
the id of its lease into a file that it has locked. The kernel unlocks a file when its process ends, however that ends,
and never while the process lives, paused or not. Whoever gets the lock therefore reads the id of a lease that nobody
has any more, and may take that lease over.

Called by `leases`. Where nothing can be known (another machine, another boot, no such lock) there is no record, and a
lease runs out by itself.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class LeaseRecord:
    """The record of one lease, locked until it is given back or the process ends."""

    def __init__(self, file: int, path: Path) -> None:
        self._file, self._path = file, path
        left = os.pread(file, 64, 0).decode("ascii", "replace")
        self.left = left if left.isascii() and left.isprintable() else ""
        """The id under which a process that was lost held the lease, or may have; else nothing."""

    def note(self, lease_id: str) -> None:
        """Records under which id the lease is held from now on; to be called before it is asked for."""
        with contextlib.suppress(OSError):  # a full disk: then nobody takes it over
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, lease_id.encode(), 0)

    def give_back(self) -> None:
        """Nobody holds the lease here any more. Harmless when repeated."""
        file, self._file = self._file, -1
        if file < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            self._path.unlink()
        os.close(file)


def record_of(lease: str) -> LeaseRecord | None:
    """The record of the lease at this address; None if a living process of this machine has it, or none can be kept."""
    if sys.platform == "win32" or (folder := _folder()) is None:
        return None
    path = folder / hashlib.sha256(lease.encode()).hexdigest()
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return LeaseRecord(file, path)
    except OSError:
        os.close(file)
        return None


@functools.cache
def _folder() -> Path | None:
    """A folder of this user and this boot, so that no other machine uses it, not even on a disk that is shared."""
    try:
        folder = Path(tempfile.gettempdir()) / f"droptune-{os.geteuid()}-{_BOOT.read_text().strip()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return folder if folder.is_dir() and found.st_uid == os.geteuid() and not found.st_mode & 0o077 else None
