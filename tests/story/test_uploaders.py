"""An uploader may write into `snapshots` and nothing else: whatever he chooses never stops, slows or steers others.

`CONTROLLED` lists all that an uploader chooses: names, texts, numbers, counts, sizes, times and headers. Each is tried
beside an honest upload, and again after it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from shared.azure.storage.blobs import why_unreadable_name
from shared.ledger.rows import Snapshot
from shared.snapshots import lost_uploads
from shared.snapshots.lost_uploads import MOST_MISSED
from shared.snapshots.refusals import MOST_KEPT
from tests.fakes import World, dialogues

GOOD = dialogues(40)
FOLDER = "evil-bot/one"

type Attack = Callable[[World], None]


def _file(path: str, data: bytes = GOOD) -> Attack:
    return lambda world: world.drop(path, data)


def _folder(files: dict[str, bytes], folder: str = FOLDER) -> Attack:
    def attack(world: World) -> None:
        for name, data in files.items():
            world.drop(f"{folder}/{name}", data)
        world.drop(f"{folder}/_SUCCESS", b"")

    return attack


def _options(text: str | bytes) -> Attack:
    data = text if isinstance(text, bytes) else text.encode()
    return _folder({"train.jsonl": GOOD, "snapshot.json": data})


def _many(count: int, path: str, data: bytes = b"") -> Attack:
    def attack(world: World) -> None:
        for number in range(count):
            world.drop(path.format(number), data)

    return attack


def _unreadable(world: World) -> None:
    world.drop("evil-bot.jsonl", GOOD)
    world.storage.unreadable["snapshots", "evil-bot.jsonl"] = "it is in the archive tier"


def _metadata(world: World) -> None:
    """What listings of the ledger say of rows, said of an upload."""
    metadata = {"state": "LIVE", "next_look_at": "never", "attention": "1", "uploaded_at": "x", "a": "b" * 8000}
    world.storage._set("snapshots", "evil-bot.jsonl", GOOD, metadata)
    world.events.append("evil-bot.jsonl")


def _directory(world: World) -> None:
    world.storage._set("snapshots", "evil-bot.jsonl", GOOD, {"hdi_isfolder": "true"})
    world.events.append("evil-bot.jsonl")


def _overwritten_for_ever(world: World) -> None:
    """The file is another one each time that somebody asks for it."""
    world.drop("evil-bot.jsonl", GOOD)
    opened, count = world.storage.open, 0

    def open_(container: str, name: str, etag: str) -> Any:
        nonlocal count
        if name == "evil-bot.jsonl" and count < 50:
            count += 1
            world.storage._set(container, name, dialogues(40, str(count)), None)
            world.events.append(name)
        return opened(container, name, etag)

    world.storage.open = open_  # type: ignore[method-assign]


def _touched_after_the_marker(world: World) -> None:
    _folder({"train.jsonl": GOOD})(world)
    world.clock.now += 2
    world.drop(f"{FOLDER}/train.jsonl", GOOD)


SURROGATE, HUGE = "\\ud83d", "9" * 4000
CONTROLLED: dict[str, Attack] = {
    # Names of datasets, folders and files
    "dataset: of another's endpoint": _file("support-bot-.jsonl"),
    "dataset: like a snapshot's id": _file("bot-20260921141320-0123abcd.jsonl"),
    "dataset: digits and dashes only": _file("0---------------------------------------0.jsonl"),
    "dataset: the longest": _file("z" * 41 + ".jsonl"),
    "path: dots": _file("evil-bot/../../ledger/x/_SUCCESS"),
    "path: dots in the middle": _file("evil-bot/../train.jsonl"),
    "path: backslashes": _file("evil-bot\\..\\ledger.jsonl"),
    "path: percent": _file("evil-bot/%2e%2e%2f%00.jsonl"),
    "path: address": _file("evil-bot/x?comp=lease&a=b#c.jsonl"),
    "path: line ends": _file("evil-bot/x\r\nERROR all is lost.jsonl"),
    "path: terminal codes": _file("evil-bot/\x1b[2J.jsonl"),
    "path: right to left": _file("evil-bot/\u202elnosj.jsonl"),
    "path: markup": _file("evil-bot/<script>alert(1)</script>.jsonl"),
    "path: format fields": _file("evil-bot/%s%d{0}{}.jsonl"),
    "path: half a pair": _file("evil-bot/\ud83d.jsonl"),
    "path: the longest": _file(f"evil-bot/{'x' * 1009}.jsonl"),
    "path: too long": _file(f"evil-bot/{'x' * 5000}.jsonl"),
    "path: only slashes": _file("/" * 1000),
    "path: empty": _file(""),
    "folder: odd": _folder({"train.jsonl": GOOD}, "evil-bot/a b\u3000c"),
    "file in a folder: line ends": _folder({"train.jsonl": GOOD, "test\n.jsonl": GOOD}),
    "file passed over: line ends": _folder({"train.jsonl": GOOD, "read\nme\x1b[2J.md": b"x"}),
    # Texts and numbers in snapshot.json
    "snapshot.json: no JSON": _options("{"),
    "snapshot.json: nested": _options("[" * 60_000),
    "snapshot.json: large": _options(b" " * 70_000),
    "snapshot.json: no UTF-8": _options(b'{"note": "\xff\xfe"}'),
    "note: half a pair": _options(f'{{"note": "{SURROGATE}"}}'),
    "note: long and odd": _options(json.dumps({"note": "\x1b[2J\r\nERROR \u202e<b>" * 3000})),
    "base_model: half a pair": _options(f'{{"base_model": "{SURROGATE}"}}'),
    "base_model: dots": _options('{"base_model": "../../providers/x"}'),
    "base_model: address": _options('{"base_model": "Phi-4?api-version=1#"}'),
    "base_model: percent": _options('{"base_model": "%2e%2e%2f"}'),
    "base_model: line ends": _options('{"base_model": "Phi-4\\nERROR"}'),
    "base_model: long": _options(json.dumps({"base_model": "x" * 60_000})),
    "base_model: an id": _options('{"base_model": "azureml://registries/x/models/y/versions/1"}'),
    "base_model: unknown": _options('{"base_model": "No-Such-Model"}'),
    "base_model_version: dots": _options('{"base_model_version": ".."}'),
    "base_model_version: long": _options(json.dumps({"base_model_version": "1" * 1000})),
    "hyperparameters: huge number": _options(f'{{"hyperparameters": {{"seed": {HUGE}}}}}'),
    "hyperparameters: huge number as text": _options(f'{{"hyperparameters": {{"seed": "{HUGE}"}}}}'),
    "hyperparameters: infinite": _options('{"hyperparameters": {"learning_rate": 1e999}}'),
    "hyperparameters: unknown and long": _options(json.dumps({"hyperparameters": {"k" * 60_000: 1}})),
    "hyperparameters: half a pair": _options(f'{{"hyperparameters": {{"optim": "{SURROGATE}"}}}}'),
    "hyperparameters: other types": _options('{"hyperparameters": {"seed": [[]], "optim": {"a": null}}}'),
    "validation: huge number": _options(f'{{"validation": {{"min_rows": {HUGE}}}}}'),
    "validation: infinite": _options('{"validation": {"min_rows": 1e999}}'),
    "validation: half a pair": _options(f'{{"validation": {{"{SURROGATE}": 1}}}}'),
    # Counts
    "many files in a folder": _folder({f"train-{number}.jsonl": b"" for number in range(1200)}),
    "many files passed over": _folder({"train.jsonl": GOOD, **{f"{number}.md": b"" for number in range(6000)}}),
    "many refused": _many(300, "no dataset {}.csv"),
    "many datasets": _many(100, "evil-bot-{}.jsonl"),
    "many snapshots of a dataset": _many(60, "evil-bot/{}.jsonl"),
    "many markers": _many(100, "evil-bot/{}/_SUCCESS"),
    # Sizes
    "nothing in it": _file("evil-bot.jsonl", b""),
    "a marker with content": _file(f"{FOLDER}/_SUCCESS", b"x" * 1_000_000),
    # Times and versions
    "overwritten for ever": _overwritten_for_ever,
    "touched after the marker": _touched_after_the_marker,
    # Headers and what else storage keeps of a blob
    "metadata": _metadata,
    "a directory's mark": _directory,
    "not given by storage": _unreadable,
    "being copied for ever": lambda world: world.storage.copying.add(("snapshots", "evil-bot.jsonl")),
}


@pytest.mark.parametrize("what", CONTROLLED)
def test_whatever_an_uploader_chooses_harms_nobody_else(what: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    asked = _watch(world)
    world.run(until=1)  # the app has started: what is uploaded from now on counts
    with caplog.at_level(logging.INFO):
        world.drop("honest-before.jsonl", dialogues(40, "before"))
        CONTROLLED[what](world)
        world.drop("honest-after.jsonl", dialogues(40, "after"))
        world.run(until=4 * 3600)
    rows = [world.services.ledger.read(listed.key).row for listed in world.services.ledger.list("snapshot")]
    states = world.states()
    assert {states[row.id] for row in rows if row.dataset.startswith("honest")} == {"LIVE"}
    for row in rows:
        _ends_with_a_reason(row)
    assert not [record for record in caplog.records if record.exc_info], "an error nobody foresaw"
    assert all(record.getMessage().isprintable() for record in caplog.records), "a line of the log can be forged"
    assert not [name for name in asked if why_unreadable_name(name)]
    world.clock.now += lost_uploads.EVERY
    world._sweep()
    assert sum(name.startswith("_refused/") for _, name in world.storage.blobs) <= MOST_KEPT + MOST_MISSED


def _watch(world: World) -> list[str]:
    """The names of all blobs in `snapshots` that are asked for."""
    asked: list[str] = []
    for call in ("head", "open", "read"):
        real = getattr(world.storage, call)

        def watched(container: str, name: str, *more: Any, real: Any = real) -> Any:
            if container == "snapshots":
                asked.append(name)
            return real(container, name, *more)

        setattr(world.storage, call, watched)
    return asked


def _ends_with_a_reason(row: Snapshot) -> None:
    """The row can be written and shown, is small, and nothing is tried for ever."""
    assert not row.attention, f"{row.id} waits for a person: {row.fault}"
    assert row.fault is None
    assert row.reason.isprintable()
    assert row.note.isprintable()
    assert len(json.dumps([row.reason, row.note, row.passed_over])) < 5000
    assert sum(entry.state == "VALIDATING" for entry in row.history) <= 2
    if row.state == "REJECTED":
        assert row.reason
