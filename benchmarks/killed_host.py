"""A large file on a host that is killed again and again: `python -m benchmarks.killed_host [--mb 2000] [--every 20]`.

It runs on a whole local cloud of its own. The host is ended with SIGKILL so many seconds after each start, until the
file is checked; what was checked of it before must be kept. With `--deadly` nobody kills it: one row ends each process
that decodes it, and the snapshot has to end with a reason that names the part with that row.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.checking.large import write_large
from local.cloud import Cloud
from local.droptune import Droptune
from local.parts import CloudProcess, local_parts
from local.wiring import Wiring

# Whoever decodes this ends as if the memory had run out.
DEADLY = b"ends whoever reads it"
# Python runs a module of this name in every process that finds it.
_AT_START = f"""
import os
import orjson

def loads(text, loads=orjson.loads, deadly={DEADLY!r}):
    if isinstance(text, bytes) and deadly in text:
        os.kill(os.getpid(), 9)
    return loads(text)

orjson.loads = loads
"""
_OPEN = ("", "RECEIVED", "VALIDATING")
_LOOK = 1.0


@dataclass
class Story:
    """How it went: the state and reason at the end, and what each life of the host had checked by its end."""

    state: str = ""
    reason: str = ""
    seconds: float = 0.0
    checked: list[int] = field(default_factory=list)

    @property
    def lives(self) -> int:
        """How often the host was started."""
        return len(self.checked)


def tell(
    folder: Path, file: Path, every: float, settings: Mapping[str, str], longest: float, as_it_goes: bool = False
) -> Story:
    """Drops the file, and kills the host so many seconds after each start; 0: the file itself ends it.

    `as_it_goes`: each life ends once it has checked another part, however long that took. Returns once the file is
    checked, or after `longest` seconds.
    """
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(_AT_START)
    story = Story()

    def parts(wiring: Wiring, given: Mapping[str, str]) -> Sequence[CloudProcess]:
        path = {"PYTHONPATH": str(folder / "site")}
        return [
            dataclasses.replace(part, environment={**part.environment, **path}) if part.name == "host" else part
            for part in local_parts(wiring, given)
        ]

    with Cloud(folder / "cloud", settings, parts_of=parts) as cloud, Droptune(cloud.description) as app:
        app.drop(f"large/{file.name}", file)
        began = time.monotonic()
        while True:
            _live(cloud, app, story, every, as_it_goes)
            story.seconds = time.monotonic() - began
            if story.state not in _OPEN or story.seconds > longest:
                return story
            cloud.start("host")


def _live(cloud: Cloud, app: Droptune, story: Story, every: float, as_it_goes: bool) -> None:
    """One life of the host, until it is killed or ends, or the file is checked."""
    began = time.monotonic()
    while not cloud.ended() and not (every and time.monotonic() - began > every) and story.state in _OPEN:
        time.sleep(_LOOK)
        if row := _row(app):
            story.state, story.reason = row["state"], row["reason"]
        if as_it_goes and _checked(app) > (story.checked or [0])[-1]:
            break
    cloud.kill("host")
    story.checked.append(_checked(app))
    print(f"  life {story.lives}: {time.monotonic() - began:.0f} s, {story.checked[-1]} parts are checked", flush=True)


def _checked(app: Droptune) -> int:
    return sum(name.endswith(".checked") for name in app.names("work"))


def _row(app: Droptune) -> dict[str, Any] | None:
    try:
        return next(iter(app.snapshots("large")), None)
    except httpx.HTTPError:  # it is just dying
        return None


def main() -> None:
    """Tells both stories, or the one that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mb", type=float, default=2000)
    parser.add_argument("--every", type=float, default=20, help="seconds from a start of the host to its end")
    parser.add_argument("--kind", choices=("jsonl", "jsonl.gz"), default="jsonl")
    parser.add_argument("--part-mb", type=float, default=64)
    parser.add_argument("--longest", type=float, default=1800, help="seconds after which a story is given up")
    parser.add_argument("--only", choices=("killed", "deadly"))
    given = parser.parse_args()
    settings = {"VALIDATION_PART_MB": str(given.part_mb), "VALIDATION_SPREAD_FROM_MB": str(min(256, given.part_mb))}
    for name, every, row in (("killed", given.every, b""), ("deadly", 0.0, b'{"messages": "%s"}' % DEADLY)):
        if given.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"rows.{given.kind}"
                rows = write_large(file, given.mb, row)
                print(f"{name}: {rows} rows, {file.stat().st_size / 1e6:.0f} MB stored", flush=True)
                story = tell(Path(folder), file, every, settings, given.longest)
                print(
                    f"  {story.state} after {story.seconds:.0f} s and {story.lives} lives: {story.reason}", flush=True
                )


if __name__ == "__main__":
    main()
