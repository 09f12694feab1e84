"""`make demo`: the main job on real input, by the commands that people use, on one machine and for no money.

Starts a fresh local cloud, drops the example dataset, waits until it is served, asks it, drops a second snapshot that
gets the traffic stage by stage, one whose model answers wrongly and one with bad rows, puts the endpoint to sleep,
wakes it by a question, and stops. What is left to read lies in the demo's folder. `make demo KEEP=1` plays it in the
cloud of `make up`, and leaves that running. Cut off anywhere, it stops what it has started.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from azure.core.exceptions import AzureError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local import control_plane, examples, supervisor
from local.cloud import Cloud, StartFailed
from local.droptune import Droptune
from local.record import running

ROOT = Path(__file__).parent.parent
DATASET, BROKEN = examples.DATASET, "broken-bot"
STARTING = "starting a cloud on this machine: storage, Event Grid, Azure ML, and the Functions host with the app ..."
STAND_IN = (
    "what trains here is a stand-in for Phi-4: it learns nothing, but answers with the training dialogue that is most "
    "like the question; everything around it works as in Azure"
)
AGAIN = "For another one: `make down`, and move that folder away."
STOPPED = "stopped: nothing is running any more"
# How alike two texts are, from 0 to 100, in words: the first that it comes up to.
_LIKENESS = (
    (95, "word for word as expected"),
    (75, "nearly as expected"),
    (50, "partly as expected"),
    (25, "little of what was expected"),
    (0, "nothing of what was expected"),
)


class DemoFailed(Exception):
    """The demo cannot go on: the text says why, and where to look."""


# What a part that ended, or a command that did, makes of the demo.
_TROUBLE = (DemoFailed, httpx.HTTPError, AzureError, TimeoutError)
_NOT_STARTED = (StartFailed, supervisor.UpFailed, supervisor.OtherSettings, OSError)


class Demo:
    """One run of the demo. `keep`: in the folder of `make up`, and everything goes on running when it is over."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, keep: bool = False) -> None:
        self.folder, self.console, self.started = folder, Console(highlight=False), time.monotonic()
        self.settings, self.keep = dict(settings or {}), keep

    def say(self, text: str, style: str = "") -> None:
        """One line with the seconds since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:6.1f} s[/]  {text}", style=style, soft_wrap=True)

    def run(self) -> int:
        """The whole story; the exit status. Refused while another one runs in the folder."""
        try:
            with _alone(self.folder / "demo.lock" if self.keep else self.folder.with_suffix(".lock")):
                return self._kept_running() if self.keep else self._run()
        except BlockingIOError:
            self.say(f"another demo runs in {self.folder}: wait for its end", "bold red")
        except DemoFailed as failure:
            self.say(escape(str(failure)), "bold red")
        except _NOT_STARTED as error:
            self.say(f"the local cloud did not start: {escape(str(error))}", "bold red")
        except KeyboardInterrupt:
            return 130
        return 1

    def _run(self) -> int:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.say(STARTING, "bold")
        try:
            with (
                Cloud(self.folder, self.settings) as cloud,
                self._named(cloud.ended),
                Droptune(cloud.description) as app,
            ):
                self._story(app)
                self._copy(app)
        finally:
            self.say(STOPPED, "bold green")
        self._summary()
        return 0

    def _kept_running(self) -> int:
        """The story in the cloud of `make up`, which is started for it and goes on."""
        ran = running(self.folder) is not None
        self.say(STARTING, "bold")
        try:
            record = supervisor.up(self.folder, self.settings)
            with self._named(self._dead), Droptune(msgspec.to_builtins(record)) as app:
                if app.snapshots(DATASET) or app.snapshots(BROKEN):
                    raise DemoFailed(f"{self.folder} has had a demo already: {DATASET} is there, ask it. {AGAIN}")
                live = self._story(app)
                self._suggestions(app, live)
        except BaseException:
            if not ran:
                supervisor.down(self.folder)
                self.say(STOPPED, "bold green")
            raise
        return 0

    def _dead(self) -> list[str]:
        record = running(self.folder)
        return record.dead if record else ["the supervisor"]

    @contextlib.contextmanager
    def _named(self, ended: Callable[[], Iterable[str]]) -> Iterator[None]:
        """What cuts the story off is DemoFailed: with the parts that ended by themselves, and where their logs are."""
        try:
            yield
        except KeyboardInterrupt:
            self.say("interrupted")
            raise
        except _TROUBLE as trouble:
            parts = list(ended())
            who = f"{' and '.join(parts)} ended while it was needed" if parts else ""
            said = str(trouble) if isinstance(trouble, DemoFailed) else f"{type(trouble).__name__}: {trouble}"
            why = "; ".join(filter(None, (who, said)))
            raise DemoFailed(f"the demo ends here: {why}. Logs: {_shown(self.folder)}/logs/") from trouble

    def _story(self, app: Droptune) -> str:
        """Everything that is shown; the snapshot that is live at the end."""
        self.say(f"the app answers at {app.cloud['app_url']}")
        self.say(STAND_IN)
        first = self._released(app)
        self._ask(app, first)
        live = self._shifted(app)
        self._held_back(app)
        self._refused(app)
        self._asleep(app, live)
        self._woken(app, live)
        return live

    def _droptune(self, app: Droptune, *arguments: str, wanted: int = 0) -> None:
        """Runs a command as a person does, and shows it. DemoFailed if it ends otherwise than it should."""
        self.say(f"[bold magenta]$ droptune {escape(shlex.join(arguments))}[/]")
        self.console.file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments], env={**os.environ, **_environment(app)}, cwd=ROOT, check=False
        )
        if done.returncode != wanted:
            raise DemoFailed(f"`droptune {arguments[0]}` ended with {done.returncode}, not {wanted}: see above")

    def _released(self, app: Droptune) -> str:
        # Slow enough to watch the loss fall.
        with control_plane.paced(app.cloud, 1.5):
            self._droptune(app, "drop", f"examples/{DATASET}.jsonl")
        return _newest(app, DATASET)

    def _ask(self, app: Droptune, snapshot: str) -> None:
        self.say(f"{examples.QUESTIONS} questions, in other words than the model was trained on", "bold")
        for question in examples.questions(app, snapshot):
            self._droptune(app, "ask", DATASET, question)

    def _shifted(self, app: Droptune) -> str:
        """A second snapshot, rolled out while people go on asking."""
        self.say("the same data without a dozen of its rows; meanwhile people go on asking", "bold")
        fewer = self.folder / "fewer-rows.jsonl"
        fewer.write_bytes(examples.fewer_rows())
        with _asking(app):
            self._droptune(app, "drop", _shown(fewer), "--dataset", DATASET)
        self.say("its share of the questions rose as long as it answered no worse than the one before:")
        table = Table("share", "failed: new one", "failed: one before", "verdict", box=None, padding=(0, 2, 0, 0))
        for stage in app.get(f"datasets/{DATASET}")["live"]["stages"]:
            counted = next(found for found in stage["measured"] if found["source"] == "counts")
            sides = (_tally(counted[side]) for side in ("candidate", "live"))
            table.add_row(f"{stage['percent']} %", *sides, stage["verdict"])
        self.console.print(table)
        return _newest(app, DATASET)

    def _held_back(self, app: Droptune) -> None:
        """A sound folder whose answers stand under the wrong questions: only the gate can tell."""
        self.say("good rows, but each answer is that of another question: only asking the model shows it", "bold")
        self._droptune(app, "drop", "examples/shuffled", "--dataset", DATASET, wanted=1)
        gate = app.get(f"snapshots/{_newest(app, DATASET)}")["gate"]
        table = Table("", "answered", "what it says", "95 % within", box=None, padding=(0, 2, 0, 0))
        for who in ("candidate", "live"):
            table.add_row(who, *_numbers(gate[who]))
        self.console.print(table)
        page = json.loads(app.blob("evaluations", gate["evaluation"]))
        short = [line for line in page["prompts"] if "\n" not in line["reference"]]
        line = max(short, key=lambda line: line["live"]["likeness"] - line["candidate"]["likeness"])
        self.say(f"  [yellow]asked[/]      {escape(line['prompt'][-1]['content'])}")
        for who in ("candidate", "live"):
            said = f"  [dim]({likeness_in_words(line[who]['likeness'])})[/]"
            self.say(f"  [green]{who:9}[/]  {escape(line[who]['text'])}{said}")

    def _refused(self, app: Droptune) -> None:
        self.say("30 rows, five of them bad; --no-check leaves it to the app to find them", "bold")
        self._droptune(app, "drop", "examples/broken.jsonl", "--dataset", BROKEN, "--no-check", wanted=1)
        self._droptune(app, "report", BROKEN, wanted=1)

    def _asleep(self, app: Droptune, live: str) -> None:
        name, there = app.get(f"datasets/{DATASET}")["endpoint"], control_plane.endpoints(app.cloud)
        self.say(f"what costs money goes when nobody needs it; endpoints in Azure ML: {', '.join(there)}", "bold")
        self._droptune(app, "sleep", DATASET)
        app.wait(lambda: app.get(f"snapshots/{live}")["state"] == "ASLEEP", timeout=180)
        left = control_plane.endpoints(app.cloud)
        if name in left:
            raise DemoFailed(f"endpoint {name} is still there")
        self.say(f"  endpoint {name} is gone; endpoints that cost money now: {len(left)}")

    def _woken(self, app: Droptune, live: str) -> None:
        """A question finds it asleep, and wakes it."""
        self.say("a question wakes it: the answer comes once the endpoint is there again", "bold")
        self._droptune(app, "ask", DATASET, examples.questions(app, live)[0])

    def _copy(self, app: Droptune) -> None:
        """Copies what people want to read out of the storage account, which stops with the demo."""
        for container in ("ledger", "reports", "evaluations"):
            for name in app.names(container):
                target = self.folder / "read" / container / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(app.blob(container, name))

    def _summary(self) -> None:
        where = _shown(self.folder)
        self.console.print(f"\nvalidation reports   {where}/read/reports/")
        self.console.print(f"ledger               {where}/read/ledger/   (each row with its history)", soft_wrap=True)
        self.console.print(f"gate's answers       {where}/read/evaluations/")
        self.console.print(f"logs of all parts    {where}/logs/")
        self.console.print("\nTry it yourself: [bold]make demo KEEP=1[/] leaves all of it running.")

    def _suggestions(self, app: Droptune, live: str) -> None:
        """What to try with what goes on running."""
        self.say("everything goes on running; `make status` shows it, `make down` stops it", "bold green")
        question = shlex.quote(examples.questions(app, live)[-1])
        for command, what in (
            (".venv/bin/droptune open", "the same in a browser, signed in"),
            (".venv/bin/droptune ls", "what was dropped, and what became of it"),
            (f".venv/bin/droptune show {DATASET}", "the newest snapshot: how it went, and why it was withheld"),
            (f".venv/bin/droptune ask {DATASET} {question}", "another question; without one it is a chat"),
            (f".venv/bin/droptune rollback {DATASET}", "back to the release before"),
            (".venv/bin/droptune drop YOUR_FILE.jsonl", "your own rows: the README says what they look like"),
        ):
            self.console.print(f"  {escape(command)}\n      [dim]{what}[/]", soft_wrap=True)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One demo at a time, since each begins with an empty folder; BlockingIOError for the second."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, which is deleted; and let go by the system, however the demo ends.
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextlib.contextmanager
def _asking(app: Droptune) -> Iterator[None]:
    """People ask one question after the other, as long as the block lasts."""
    asked = examples.all_questions()
    over = threading.Event()

    def ask() -> None:
        for item in itertools.cycle(asked):
            if over.is_set():
                return
            with contextlib.suppress(httpx.HTTPError):
                app.ask(DATASET, item["question"])

    thread = threading.Thread(target=ask, daemon=True)  # whoever is in a hurry does not wait for its last answer
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tally(found: dict[str, Any]) -> str:
    """How the questions to one side ended, for a table."""
    return f"{found.get('failed', 0)} of {found.get('asked', 0)}"


def _numbers(found: dict[str, Any]) -> list[str]:
    """What the gate measured of one release, for a table."""
    answered = f"{found['asked'] - found['failed']} of {found['asked']}"
    says = f"{likeness_in_words(found['likeness'])} ({found['likeness']:.0f} of 100)"
    return [answered, says, f"{found['p95_seconds']:.2f} s"]


def likeness_in_words(likeness: float) -> str:
    """How like an answer is to the one that was held out, for people."""
    return next(words for least, words in _LIKENESS if likeness >= least)


def _newest(app: Droptune, dataset: str) -> str:
    """The newest snapshot of a dataset."""
    return str(app.snapshots(dataset)[0]["id"])


def _shown(path: Path) -> str:
    """A path as people write it in the checkout."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _environment(app: Droptune) -> dict[str, str]:
    """Which app the commands talk to."""
    return {
        "DROPTUNE_APP": app.cloud["app_url"],
        "DROPTUNE_KEY": app.cloud["app_key"],
        "DROPTUNE_STORAGE": app.cloud["storage_connection_string"],
    }
