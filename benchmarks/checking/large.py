"""A file of any size, quickly made: a few thousand dialogues, again and again with another word in each.

Used by `benchmarks.killed_host` and by tests of what a large file goes through.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

from benchmarks.checking.rows import generate

# Stands in the rows in place of the word that makes a repetition other rows.
_HOLE = b"~again~"
_ORIGINAL_MB = 12
# A quarter as long to write as the usual level, for a tenth more bytes.
_LEVEL = 3


def write_large(path: Path, megabytes: float, special: bytes = b"") -> int:
    """Writes so many megabytes of JSONL, all rows different; gzipped if the name says so. Returns how many rows.

    `special`: a row that comes in after two thirds of them.
    """
    lines = _lines(min(megabytes, _ORIGINAL_MB))
    size, rows, again = 0, 0, 0
    with gzip.open(path, "wb", _LEVEL) if path.name.endswith(".gz") else path.open("wb") as out:
        while size < megabytes * 1e6:
            batch = b"".join(lines).replace(_HOLE, b"again%d" % again)
            if special and size + len(batch) > megabytes * 2e6 / 3:
                out.write(special + b"\n")
                rows, special = rows + 1, b""
            out.write(batch)
            size, rows, again = size + len(batch), rows + len(lines), again + 1
    return rows


def _lines(megabytes: float) -> list[bytes]:
    """Different rows of about so many megabytes, each with the hole."""
    with tempfile.TemporaryDirectory() as folder:
        rows = generate(Path(folder), max(1, round(megabytes)))["jsonl"].read_text("utf-8").splitlines()
    lines = []
    for text in rows:
        row = json.loads(text)
        row["messages"][0]["content"] += f" {_HOLE.decode()}"
        row["prompt_id"] += _HOLE.decode()
        lines.append(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return lines
