"""`make demo`: the main job on real input, told as it happens, on one machine and for no money.

Starts a fresh local cloud, drops the example dataset, waits until it is served, asks it, drops a second snapshot that
gets the traffic stage by stage, one whose model answers wrongly and one with bad rows, puts the endpoint to sleep,
wakes it by a question, and stops. What is left to read lies in the demo's folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.cloud import Cloud
from local.droptune import Droptune

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
DATASET, BROKEN = "support-bot", "broken-bot"
QUESTIONS = 3


class Demo:
    """One run of the demo."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder, self.console, self.started = folder, Console(highlight=False), time.monotonic()
        self.settings = dict(settings or {})

    def say(self, text: str, style: str = "") -> None:
        """One line with the seconds since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:6.1f} s[/]  {text}", style=style, soft_wrap=True)

    def run(self) -> int:
        """The whole story; the exit status. Refused while another one runs in the folder."""
        try:
            with _alone(self.folder):
                return self._run()
        except BlockingIOError:
            self.say(f"another demo runs in {self.folder}: wait for its end", "bold red")
            return 1

    def _run(self) -> int:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.say("starting the local cloud: storage, Functions host, Event Grid, Azure ML ...", "bold")
        with Cloud(self.folder, self.settings) as cloud, Droptune(cloud.description) as app:
            self.say(f"it answers at {cloud.description['app_url']}")
            first = self._released(app)
            self._asked(app, first["id"])
            live = self._shifted(app)
            self._held_back(app)
            self._refused(app)
            self._asleep(app, live["id"])
            self._woken(app, live["id"])
            self._kept(app)
        self.say("stopped: nothing is running any more", "bold green")
        self._summary()
        return 0

    def _released(self, app: Droptune) -> dict[str, Any]:
        file = EXAMPLES / f"{DATASET}.jsonl"
        self.say(f"dropping examples/{file.name} into the container `snapshots`", "bold")
        app.drop(f"{DATASET}.jsonl", file)
        return self._told(app, DATASET, "LIVE", ("REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD"))

    def _told(
        self, app: Droptune, dataset: str, wanted: str, wrong: tuple[str, ...] = (), snapshot: str = ""
    ) -> dict[str, Any]:
        """Prints every state as it is told, until a snapshot (the dataset's newest) is where it should be."""
        with self.console.status("waiting for the next step ..."):
            for change in app.changes(timeout=180):
                if change and change["data"].get("dataset") == dataset and "state" in change["data"]:
                    kind, data = change["subject"].split("/")[0], change["data"]
                    reason = f"  [dim]{data['reason']}[/]" if data["reason"] else ""
                    self.say(f"  {kind:8} [bold cyan]{data['state']:>12}[/]{reason}")
                row = next((row for row in app.snapshots(dataset) if snapshot in row["id"]), None)
                if row and row["state"] == wanted:
                    return row
                if row and (row["state"] in wrong or row["needs_attention"]):
                    raise SystemExit(f"{row['id']} is {row['state']}: {row['reason']} {row['fault'] or ''}")
        raise SystemExit(f"{dataset} did not become {wanted}")

    def _asked(self, app: Droptune, snapshot: str) -> None:
        import openai

        about = f"{QUESTIONS} questions it was not trained on in these words"
        self.say(f"asking it {about}, through the openai client", "bold")
        with openai.OpenAI(base_url=f"{app.cloud['app_url']}/api/v1", api_key=app.cloud["app_key"]) as client:
            for question in _questions(app, snapshot):
                self.say(f"  [yellow]Q[/] {escape(question)}")
                chunks = client.chat.completions.create(
                    model=DATASET, messages=[{"role": "user", "content": question}], stream=True
                )
                answer = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
                self.say(f"  [green]A[/] {escape(answer)}")

    def _shifted(self, app: Droptune) -> dict[str, Any]:
        """A second snapshot, rolled out while people go on asking."""
        self.say("dropping the example with a dozen rows weeded out, while people go on asking", "bold")
        app.drop(f"{DATASET}/second.jsonl", _weeded())
        with _asking(app):
            wrong = ("REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD", "ROLLED_BACK")
            row = self._told(app, DATASET, "LIVE", wrong)
        table = Table("stage", "candidate", "live", "verdict", box=None, padding=(0, 2, 0, 0))
        for stage in app.get(f"datasets/{DATASET}")["live"]["stages"]:
            counted = next(found for found in stage["measured"] if found["source"] == "counts")
            sides = (_tally(counted[side]) for side in ("candidate", "live"))
            table.add_row(f"{stage['percent']} %", *sides, stage["verdict"])
        self.console.print(table)
        return row

    def _held_back(self, app: Droptune) -> None:
        """A sound file whose answers stand under the wrong questions: only the gate can tell."""
        self.say("dropping examples/shuffled: sound rows, but every answer stands under another question", "bold")
        for split in ("train", "test"):
            app.drop(f"{DATASET}/shuffled/{split}.jsonl", EXAMPLES / "shuffled" / f"{split}.jsonl")
        app.drop(f"{DATASET}/shuffled/_SUCCESS", b"")
        gate = self._told(app, DATASET, "WITHHELD", ("REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "LIVE"))["gate"]
        table = Table("", "answered", "unusable", "likeness", "p50", "p95", box=None, padding=(0, 2, 0, 0))
        for who in ("candidate", "live"):
            table.add_row(who, *_numbers(gate[who]))
        self.console.print(table)
        page = json.loads(app.blob("evaluations", gate["evaluation"]))
        short = [line for line in page["prompts"] if "\n" not in line["reference"]]
        line = max(short, key=lambda line: line["live"]["likeness"] - line["candidate"]["likeness"])
        self.say(f"  [yellow]Q[/]         {line['prompt'][-1]['content']}")
        for who in ("candidate", "live"):
            self.say(f"  [green]{who:9}[/] {line[who]['text']}")

    def _refused(self, app: Droptune) -> None:
        self.say("dropping examples/broken.jsonl: 30 rows, five of them bad", "bold")
        app.drop(f"{BROKEN}.jsonl", EXAMPLES / "broken.jsonl")
        row = self._told(app, BROKEN, "REJECTED", ("VALIDATED", "TRAINING", "LIVE"))
        report = json.loads(app.blob("reports", row["report"]["blob"]))
        table = Table("row", "rule", "found", "expected", box=None, padding=(0, 2, 0, 0))
        places = [(place, finding) for finding in report["findings"] for place in finding["places"]]
        for place, finding in sorted(places, key=lambda item: item[0]["row"] or 0):
            if finding["severity"] == "error":
                table.add_row(str(place["row"]), finding["rule"], place["found"], place["expected"])
        self.console.print(table)

    def _asleep(self, app: Droptune, live: str) -> None:
        name = app.get(f"datasets/{DATASET}")["endpoint"]
        self.say(f"putting {DATASET} to sleep; Azure ML has now: {_endpoints(app.cloud)}", "bold")
        app.post(f"datasets/{DATASET}/sleep").raise_for_status()
        self._told(app, DATASET, "ASLEEP", snapshot=live)
        left = _endpoints(app.cloud)
        if name in left:
            raise SystemExit(f"endpoint {name} is still there")
        self.say(f"  endpoint {name} is gone; endpoints that cost money now: {len(left)}")

    def _woken(self, app: Droptune, live: str) -> None:
        """A question finds it asleep, and wakes it."""
        question = _questions(app, live)[0]
        refused = app.ask(DATASET, question)
        wait = refused.headers["Retry-After"]
        self.say(f"asking all the same: HTTP {refused.status_code}, come back in {wait} s, for it is waking", "bold")
        self._told(app, DATASET, "LIVE", snapshot=live)
        answer = app.ask(DATASET, question)
        answer.raise_for_status()
        self.say(f"  [yellow]Q[/] {question}")
        self.say(f"  [green]A[/] {answer.json()['output']}")

    def _kept(self, app: Droptune) -> None:
        """Copies what people want to read out of the storage account, which stops with the demo."""
        for container in ("ledger", "reports", "evaluations"):
            for name in app.names(container):
                target = self.folder / "read" / container / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(app.blob(container, name))

    def _summary(self) -> None:
        where = self.folder.relative_to(ROOT) if self.folder.is_relative_to(ROOT) else self.folder
        self.console.print(f"\nvalidation reports   {where}/read/reports/")
        self.console.print(f"ledger               {where}/read/ledger/      (each row with its history)")
        self.console.print(f"gate's answers       {where}/read/evaluations/")
        self.console.print(f"logs of all parts    {where}/logs/")
        self.console.print(
            "\nTry it yourself: [bold]make up[/], drop a file, [bold]make status[/], [bold]make down[/]."
        )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One demo at a time, since each begins with an empty folder; BlockingIOError for the second."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, which is deleted; and let go by the system, however the demo ends.
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextlib.contextmanager
def _asking(app: Droptune) -> Iterator[None]:
    """People ask one question after the other, as long as the block lasts."""
    asked = json.loads((EXAMPLES / "questions.json").read_text())
    over = threading.Event()

    def ask() -> None:
        for item in itertools.cycle(asked):
            if over.is_set():
                return
            with contextlib.suppress(httpx.HTTPError):
                app.ask(DATASET, item["question"])

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _weeded() -> bytes:
    """The example without a dozen of its rows."""
    rows = (EXAMPLES / f"{DATASET}.jsonl").read_text("utf-8").splitlines(keepends=True)
    return "".join(row for number, row in enumerate(rows) if number % 20 != 10).encode()


def _tally(found: dict[str, Any]) -> str:
    """How the questions to one side ended, for a table."""
    p95 = f", p95 {found['p95_seconds']:.2f} s" if "p95_seconds" in found else ""
    return f"{found.get('failed', 0)} of {found.get('asked', 0)} failed{p95}"


def _questions(app: Droptune, snapshot: str) -> list[str]:
    """Questions whose dialogue was trained on (some were held out to test with)."""
    trained = app.blob("frozen", f"{snapshot}/train.jsonl").decode()
    rows = map(json.loads, (EXAMPLES / f"{DATASET}.jsonl").read_text().splitlines())
    prompts = {row["prompt_id"]: row["messages"][0]["content"] for row in rows}
    first_turns = {json.loads(line)["messages"][0]["content"] for line in trained.splitlines()}
    asked = json.loads((EXAMPLES / "questions.json").read_text())
    return [item["question"] for item in asked if prompts[item["prompt_id"]] in first_turns][:QUESTIONS]


def _numbers(found: dict[str, Any]) -> list[str]:
    """What the gate measured of one release, for a table."""
    answered = f"{found['asked'] - found['failed']} of {found['asked']}"
    seconds = (f"{found[name]:.2f} s" for name in ("p50_seconds", "p95_seconds"))
    return [answered, str(found["unusable"]), f"{found['likeness']:.1f}", *seconds]


def _endpoints(cloud: Any) -> list[str]:
    """The endpoints that Azure ML has."""
    answer = _arm(cloud, "GET", "/onlineEndpoints").raise_for_status()
    return [endpoint["name"] for endpoint in answer.json()["value"]]


def _arm(cloud: Any, method: str, path: str, body: Any = None) -> httpx.Response:
    """A request to the workspace, with the token of the managed identity."""
    headers = {"X-IDENTITY-HEADER": cloud["identity_header"]}
    query = {"resource": cloud["azureml_url"], "api-version": "2019-08-01"}
    token = httpx.get(cloud["identity_endpoint"], params=query, headers=headers).raise_for_status().json()
    address = (
        f"/subscriptions/{cloud['subscription_id']}/resourceGroups/{cloud['resource_group']}/providers"
        f"/Microsoft.MachineLearningServices/workspaces/{cloud['workspace']}{path}?api-version=2024-04-01"
    )
    return httpx.request(
        method,
        f"{cloud['azureml_url'].rstrip('/')}{address}",
        json=body,
        headers={"Authorization": f"Bearer {token['access_token']}"},
        verify=_trusting(cloud["azureml_ca"]),
    )


def _trusting(ca: str) -> Any:
    import ssl

    return ssl.create_default_context(cafile=ca)
