"""The Hub through `datasets` itself, over HTTP on loopback; in a process of its own, which has read HF_ENDPOINT."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from shared.azure.hub import Hub, HubRefused, _translation
from shared.errors import ServiceBusy
from tests.hub_server import COMMIT, PROPOSED, TAGGED, hub_server

ROOT = Path(__file__).parents[3]
# Asks as an import does (the commit, the splits, their parts), for one part again, and for what is not there.
PROGRAM = """
import json
from shared.azure.hub import Hub, HubDataset, HubRefused
from shared.errors import ServiceBusy
from shared.snapshots import imports as steps
from shared.ledger.imports import ImportRequest
from shared.operations import imports
from tests.fakes import World

hub, found = Hub(), {}
at = HubDataset("owner/alpaca", "", hub.commit(HubDataset("owner/alpaca")))
found["commit"], splits = at.revision, hub.splits(at)
found["splits"] = dict(splits)
def words(part, parts):
    return [row["instruction"] for row in hub.rows(at, "train", part, parts)]

found["parts"] = [words(part, splits["train"]) for part in range(splits["train"])]
found["again"], found["joined"] = words(1, 2), words(0, 1)
def pinned(revision):
    try:
        return hub.commit(HubDataset("owner/alpaca", "", revision))
    except HubRefused as error:
        return str(error)

found["pinned"] = {revision: pinned(revision) for revision in ("main", "v1", "1" * 40, "2" * 40, "3" * 40, "refs/pr/1")}
from huggingface_hub import HfFileSystem
found["kept"] = sum(len(one.dircache) for one in HfFileSystem._cache.values())
large = HubDataset("owner/large")
found["large"] = sum(1 for _ in hub.rows(large, "train", 0, 1))
for name in ("nothing", "broken", "packed", "readme", "empty", "weights", "program", "local", "other"):
    name = f"owner/{name}"
    try:
        splits = hub.splits(HubDataset(name))
        found[name] = [list(hub.rows(HubDataset(name), split, 0, 1)) for split in splits]
    except (HubRefused, ServiceBusy) as error:
        found[name] = f"{type(error).__name__}: {error}"
world = World(settings={"import_sources": "owner/*"})
world.hub = hub
world.services = world.new_process()
asked = ImportRequest(source="owner/alpaca", dataset="support-bot", splits=("train",))
answer = imports.start(world.services, asked, "ada")
world.run()
shown = imports.show(world.services, answer.id)
found["import"] = [shown["state"], shown["reason"], shown["rows"]["written"], world.states().get(shown["snapshot"])]
print(json.dumps(found))
"""


def _parquet(words: list[str]) -> bytes:
    made = io.BytesIO()
    rows = [{"instruction": f"What is {word}?", "input": "", "output": f"It is {word}."} for word in words]
    pq.write_table(pa.Table.from_pylist(rows), made)
    return made.getvalue()


def _large() -> bytes:
    """Some 10 MB of rows that do not compress, in groups of 1 MB."""
    made, draw = io.BytesIO(), random.Random(1)
    rows = [{"instruction": draw.randbytes(25_000).hex(), "output": "a"} for _ in range(200)]
    pq.write_table(pa.Table.from_pylist(rows), made, row_group_size=20, compression="none", use_dictionary=False)
    return made.getvalue()


def _naming(file: str) -> bytes:
    """A README that says where the rows are."""
    return f"---\nconfigs:\n- config_name: default\n  data_files: {file}\n---\n".encode()


FIRST, SECOND = [f"a{n}" for n in range(15)], [f"b{n}" for n in range(15)]
DATASETS = {
    "owner/alpaca": {
        "README.md": b"# Alpaca\n",
        "data/train-00000-of-00002.parquet": _parquet(FIRST),
        "data/train-00001-of-00002.parquet": _parquet(SECOND),
        "data/test-00000-of-00001.parquet": _parquet(["t"]),
    },
    "owner/large": {"data/train-00000-of-00001.parquet": _large()},
    "owner/broken": {"data/train-00000-of-00001.parquet": b"PAR1 no parquet at all PAR1"},
    "owner/packed": {"train.jsonl.gz": b"\x1f\x8b\x08\0 no gzip at all"},
    "owner/readme": {"README.md": b"# Nothing\n"},
    "owner/empty": {"train.jsonl": b""},
    "owner/local": {"README.md": _naming("/etc/passwd")},
    "owner/other": {"README.md": _naming("hf://datasets/owner/alpaca@main/data/test-00000-of-00001.parquet")},
    "owner/weights": {"README.md": b"# Weights\n", "model.safetensors": b"w"},
    "owner/program": {"README.md": b"# Program\n", "program.py": b"import datasets\n"},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program found."""
    home = str(tmp_path_factory.mktemp("hub"))
    with hub_server(DATASETS) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": home, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300
        )
        asked = list(hub.asked)
    assert done.returncode == 0, done.stderr[-3000:]
    answered: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answered | {"asked": asked}


def test_a_revision_is_pinned_to_its_commit_and_splits_have_a_part_for_each_file(found: dict[str, Any]) -> None:
    assert (found["commit"], found["splits"]) == (COMMIT, {"train": 2, "test": 1})


def test_what_a_stranger_proposed_is_no_revision(found: dict[str, Any]) -> None:
    refused = "owner/alpaca has no branch or tag {}, and no commit of this id on its main branch"
    assert found["pinned"] == {
        "main": COMMIT,
        "v1": TAGGED,
        COMMIT: COMMIT,
        TAGGED: TAGGED,
        PROPOSED: refused.format(PROPOSED),
        "refs/pr/1": refused.format("refs/pr/1"),
    }


def test_parts_are_the_files_each_the_same_at_every_reading(found: dict[str, Any]) -> None:
    first, second = ([f"What is {word}?" for word in words] for words in (FIRST, SECOND))
    assert found["parts"] == [first, second]
    assert found["again"] == second
    assert found["joined"] == first + second


def test_what_is_not_there_and_what_is_no_data_are_refused_for_good(found: dict[str, Any]) -> None:
    assert found["owner/nothing"].startswith("HubRefused: on the Hub is no dataset owner/nothing")
    assert found["owner/broken"].startswith("HubRefused: owner/broken cannot be read")


def test_a_repository_without_rows_is_refused_for_good_with_the_reason(found: dict[str, Any]) -> None:
    for name in ("owner/readme", "owner/empty", "owner/weights"):
        assert found[name].startswith(f"HubRefused: {name} has no rows: no file of JSON"), found[name]
    assert found["owner/program"].startswith("HubRefused: owner/program is made by a program of its own")
    assert found["owner/packed"].startswith("HubRefused: owner/packed cannot be read")


def test_files_that_are_not_the_repositorys_own_are_not_read(found: dict[str, Any]) -> None:
    for name in ("owner/local", "owner/other"):
        assert found[name].startswith(f"HubRefused: {name} cannot be read: "), found[name]


def test_a_listing_is_not_kept_when_the_next_import_begins(found: dict[str, Any]) -> None:
    assert found["kept"] == 0


def _answer(status: int) -> Exception:
    error = httpx.HTTPError(f"HTTP {status}")
    error.response = httpx.Response(status)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_answer(403), HubRefused),
        (_answer(451), HubRefused),
        (_answer(408), ServiceBusy),
        (_answer(429), ServiceBusy),
        (_answer(503), ServiceBusy),
        (ImportError("To support encoding images, please install 'Pillow'."), HubRefused),
        (NotImplementedError("Extraction protocol"), HubRefused),
        (EOFError("Compressed file ended"), HubRefused),
        (pa.ArrowInvalid("no parquet"), HubRefused),
        (pa.ArrowNotImplementedError("no such cast"), HubRefused),
        (MemoryError(), ServiceBusy),
        (httpx.ConnectTimeout("slow"), ServiceBusy),
        (ConnectionResetError("gone"), ServiceBusy),
        (RuntimeError("the client has been closed"), ServiceBusy),
        (FileNotFoundError("Couldn't find any data file: FileNotFoundError: Unable to find it"), HubRefused),
        (FileNotFoundError("Couldn't find any data file: LocalEntryNotFoundError: no connection"), ServiceBusy),
        (FileNotFoundError(2, "No such file or directory", "/tmp/huggingface/x"), ServiceBusy),
    ],
    ids=repr,
)
def test_what_no_repeat_will_help_is_told_from_what_may_pass(error: Exception, kind: type[Exception]) -> None:
    assert type(_translation("owner/data", error)) is kind


def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def test_where_a_proxy_is_set_it_is_the_proxy_that_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_proxies(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert Hub().unreachable() == "127.0.0.1: Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"127.0.0.1:{proxy.getsockname()[1]}"
        for name, value in (("http_proxy", f"http://{address}"), ("all_proxy", address)):
            with monkeypatch.context() as environment:
                environment.setenv(name, value)
                assert Hub().unreachable() == ""
                environment.setenv("no_proxy", "127.0.0.1")
                assert Hub().unreachable() == "127.0.0.1: Connection refused"


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_proxies(monkeypatch)
    over = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        over.wait()
        raise OSError("nobody waits any more")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    assert Hub().unreachable(0.01) == "hub.invalid: no connection within 0.01 s"
    over.set()


def test_of_a_large_file_no_more_is_asked_for_at_once_than_is_needed_next(found: dict[str, Any]) -> None:
    assert found["large"] == 200
    ranges = [wanted.removeprefix("bytes=").split("-") for path, wanted in found["asked"] if wanted]
    assert max(int(last) - int(first) for first, last in ranges) < 8_000_000


def test_an_import_by_datasets_itself_is_served(found: dict[str, Any]) -> None:
    assert found["import"] == ["IMPORTED", "30 of 30 rows are used", {"train": 30}, "LIVE"]
