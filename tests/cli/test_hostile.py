"""Hostile files and names on the command line: refused with words a person understands, in bounded memory, at any rate.

One child process checks them all, one after the other, so that its peak of memory is that of the worst.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.rule_examples import rows
from tests.hostile import FILES, GOOD, UPLOADS

MOST_MB = 500
MOST_SECONDS = 200
"""For all of them, on a busy machine."""

# Reads lines [name, arguments], writes lines [name, exit status, output]; at last its own peak and that of a worker.
CHILD = """
import contextlib, io, json, resource, sys
from cli.check import main
for line in sys.stdin:
    name, arguments = json.loads(line)
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        status = main(arguments)
    print(json.dumps([name, status, told.getvalue()]), flush=True)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps(["", max(peak, workers) // 1024, ""]))
"""


def _paths(folder: Path) -> dict[str, tuple[Callable[[Path], Any], int, str]]:
    """Names on the command line that are no good files: how to make them, the exit status, and the words."""

    def link_to(target: str) -> Callable[[Path], Any]:
        return lambda path: path.symlink_to(path.parent / target)

    def file(name: str, data: bytes = GOOD) -> Callable[[Path], Any]:
        def make(path: Path) -> None:
            path.mkdir()
            (path / name).write_bytes(data)

        return make

    def nothing(path: Path) -> None:
        pass

    return {
        "missing.jsonl": (nothing, 3, "missing.jsonl: No such file or directory"),
        "pipe.jsonl": (os.mkfifo, 2, "is a pipe, not a file"),
        "socket.jsonl": (_socket, 2, "is a socket, not a file"),
        "to-a-device.jsonl": (lambda path: path.symlink_to("/dev/zero"), 2, "is a device, not a file"),
        "to-itself.jsonl": (link_to("to-itself.jsonl"), 2, "to-itself.jsonl: Too many levels of symbolic links"),
        "to-nothing.jsonl": (link_to("nowhere.jsonl"), 3, "to-nothing.jsonl: No such file or directory"),
        "nul\0.jsonl": (nothing, 2, "null character in path"),
        "x" * 900 + ".jsonl": (nothing, 2, "File name too long"),
        "half-\udcff.jsonl": (lambda path: path.write_bytes(b"{}\n"), 1, r"half-\udcff.jsonl, row 1: found"),
        "esc\x1b[2J\u202e.jsonl": (lambda path: path.write_bytes(b"{}\n"), 1, "esc\ufffd[2J\ufffd.jsonl, row 1: found"),
        "UPPER.JSONL": (lambda path: path.write_bytes(GOOD), 1, "Only .jsonl, .jsonl.gz and .parquet are read"),
        "twice.jsonl.gz.gz": (lambda path: path.write_bytes(GOOD), 1, "Only .jsonl, .jsonl.gz and .parquet are read"),
        "double.csv.jsonl": (lambda path: path.write_bytes(GOOD), 1, "The file's name has two data formats"),
        "empty-folder": (Path.mkdir, 1, "The snapshot holds no data file"),
        "marker-only": (file("_SUCCESS", b""), 1, "The snapshot holds no data file"),
        "readme-only": (file("README.md", b"soon"), 1, "The snapshot holds no data file"),
        "test-only": (file("test.jsonl"), 1, "none to train on"),
        "upper-case-inside": (file("train.JSONL"), 1, "Only .jsonl, .jsonl.gz and .parquet are read"),
        "folder-inside": (lambda path: (path / "more").mkdir(parents=True), 2, "is a folder inside a folder"),
        "options-broken": (file("snapshot.json", b"{"), 2, "snapshot.json: not JSON"),
        "options-nested": (file("snapshot.json", b"[" * 60_000), 2, "snapshot.json: not JSON"),
        "options-looser": (file("snapshot.json", b'{"validation": {"min_rows": 3}}'), 2, "would loosen"),
        "gigabyte-line.jsonl": (_gigabyte, 1, "longer than a row may be"),
    }


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # an address has room for a hundred characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def _gigabyte(path: Path) -> None:
    """One line of a gigabyte, which takes no place on the disk."""
    with path.open("wb") as file:
        file.truncate(10**9)


PATHS = _paths(Path())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Exit status and output by name; under "" the peak memory in MB."""
    folder = tmp_path_factory.mktemp("hostile")
    for hostile in FILES:
        (folder / hostile.file).write_bytes(hostile.data())
    for name, (make, _, _) in PATHS.items():
        make(folder / name)
    asked = "".join(json.dumps([name, [f"{folder}/{name}"]]) + "\n" for name in [*(h.file for h in FILES), *PATHS])
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=asked, capture_output=True, text=True, timeout=MOST_SECONDS, check=True
    )
    return {name: (status, output) for name, status, output in map(json.loads, done.stdout.splitlines())}


def test_list_is_as_long_as_was_promised() -> None:
    assert len({*(hostile.name for hostile in FILES), *PATHS}) == len(FILES) + len(PATHS)
    assert len(FILES) + len(PATHS) >= 90
    assert len(UPLOADS) >= 40


@pytest.mark.parametrize("hostile", FILES, ids=lambda hostile: hostile.name)
def test_hostile_file_is_rejected_with_a_reason(hostile: Any, told: dict[str, tuple[int, str]]) -> None:
    status, output = told[hostile.file]
    assert status == 1, output
    assert hostile.reason in output
    assert "\nrejected: " in output
    assert all(c.isprintable() or c == "\n" for c in output)
    assert max(map(len, output.splitlines())) < 1000


@pytest.mark.parametrize("name", PATHS, ids=lambda name: ascii(name)[1:40])
def test_hostile_name_is_refused_with_a_reason(name: str, told: dict[str, tuple[int, str]]) -> None:
    status, output = told[name]
    assert (status, PATHS[name][2] in output) == (PATHS[name][1], True), output
    assert "Traceback" not in output


def test_no_file_takes_much_memory(told: dict[str, tuple[int, str]]) -> None:
    peak, _ = told[""]
    assert 20 < peak < MOST_MB


def test_file_is_accepted_whatever_good_names_it_has(tmp_path: Path) -> None:
    """So that the names above are refused for a reason, not because the child fails at everything."""
    from cli.check import main

    for name in ("a b.jsonl", "%2F.jsonl", "数据.jsonl", "2026.11.01.jsonl", "train-00000-of-00003.jsonl"):
        (tmp_path / name).write_bytes(rows(0, 20))
        assert main([str(tmp_path / name)]) == 0, name
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a b.jsonl")
    assert main([str(tmp_path / "link.jsonl")]) == 0
