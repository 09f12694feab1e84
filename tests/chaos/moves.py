"""What may happen in a history while there is chaos. The first move is the uneventful one: what comes next happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure.workspace.deployments import DeploymentSpec
from shared.errors import PipelineError
from shared.ledger.cards import is_open
from shared.ledger.imports import ImportRequest
from shared.ledger.states import DatasetState, SnapshotState
from shared.operations import actions, imports
from shared.releases import idle
from shared.serving.calls import ChatCall
from shared.serving.protocol import ApiError
from shared.serving.service import ChatService
from shared.serving.turns import ChatTurn
from tests.chaos.contents import CONTENTS, OPTIONS, TEST_ROWS
from tests.chaos.imported import SOURCES
from tests.fake_process import InlineExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.history import History

_NAMES = ("support-bot", "b2")
_JUMPS = (2.0, 20.0, 90.0, 600.0, 3600.0, 7200.0, 86_400.0, 31 * 86_400.0)


def go_on(history: History) -> None:
    """What comes next happens."""
    history.go_on()


def drop(history: History) -> None:
    """Somebody uploads something: one file, a folder with its marker, or something at a wrong path."""
    dice, world = history.dice, history.world
    dataset = dice.pick(_NAMES[: history.profile.datasets])
    content = dice.pick(CONTENTS)
    form = dice.pick(("file", "folder", "single", "wrong"))
    number = dice.pick((1, 2, 3))
    if form == "file":
        world.drop(f"{dataset}/{number}{content.ending}", content)
    elif form == "single":
        world.drop(f"{dataset}{content.ending}", content)
    elif form == "wrong":
        world.drop(dice.pick((f"{dataset}/train.jsonl", "No_Name/1.jsonl", f"{dataset}/notes.txt")), content)
    else:
        _folder(history, f"{dataset}/f{number}", content)


def _folder(history: History, folder: str, content: Any) -> None:
    dice, world = history.dice, history.world
    world.drop(f"{folder}/train{content.ending}", content)
    if dice.pick((False, True)):
        world.drop(f"{folder}/test.jsonl", TEST_ROWS)
    if options := dice.pick((None, *OPTIONS)):
        world.drop(f"{folder}/snapshot.json", json.dumps(options).encode())
    history.clock.now += dice.pick((1.0, 0.0, 5.0))
    world.drop(f"{folder}/_SUCCESS", b"")


def import_one(history: History) -> None:
    """Somebody has a dataset of the Hub imported, or asks once more."""
    dice, services = history.dice, history.world.new_process()
    dataset = dice.pick(_NAMES[: history.profile.datasets])
    request = ImportRequest(source=dice.pick(SOURCES), dataset=dataset, seed=dice.pick((0, 1)))
    history.act(f"import {request.id}", lambda: imports.start(services, request, "ada"))


def overwrite(history: History) -> None:
    """A dropped file is overwritten or deleted."""
    dice, world = history.dice, history.world
    paths = [name for container, name in world.storage.blobs if container == "snapshots"]
    if not paths:
        return
    path = dice.pick(paths)
    world.imports.touched.add(path)
    if dice.pick((True, False)):
        history.stage.note("somebody", f"deletes {path}")
        del world.storage.blobs["snapshots", path]
    elif not path.endswith(("_SUCCESS", ".json")):
        world.drop(path, dice.pick(CONTENTS))


def switch(history: History) -> None:
    """Another of those who are interrupted goes on."""
    ready = [a for a in history.stage.actors if a.stalled_at is None]
    if ready:
        history.resume(history.dice.pick(ready[::-1]))


def out_of_order(history: History) -> None:
    """An event comes before its time, or one of the messages that are due."""
    due = [m for m in history.world.storage.messages if m[0] <= history.clock()]
    found = history.dice.pick([*history.world.events, *due] or [None])
    if found in history.world.events:
        history.deliver_event(found)
    elif found:
        history.deliver_message(found)


def repeat(history: History) -> None:
    """An event or a message comes once more, then or later."""
    found = history.dice.pick([*history.world.events, *history.world.storage.messages] or [None])
    delay = history.dice.pick((0.0, 40.0, 4000.0))
    if found in history.world.events:
        history.world.tell(found[2], delay)
    elif found:
        history.world.storage.send(found[2], delay)


def lose(history: History) -> None:
    """An event or a message never comes."""
    events, messages = history.world.events, history.world.storage.messages
    found = history.dice.pick([*events, *messages] or [None])
    if found:
        (events if found in events else messages).remove(found)
        history.stage.note("nobody", f"gets {found[2]!r}: it is lost")


def sweep(history: History) -> None:
    """The sweep timer fires too early."""
    history.sweep()


def night(history: History) -> None:
    """The timer that looks for idle endpoints fires; metrics are zero, unknown or not zero."""
    history.world.metrics.rate = history.dice.pick((0.0, None, 3.0))
    history.world.metrics.readable = history.dice.pick((True, False))
    services = history.world.new_process()
    history.act("night", lambda: idle.request_sleep(services))


def ask(history: History) -> None:
    """A person asks for something, sensible or not."""
    dice, world = history.dice, history.world
    snapshots = [row.id for row in world.rows("snapshot")]
    datasets = [row.name for row in world.rows("dataset")]
    what = dice.pick(REQUESTS if datasets else REQUESTS[:2])
    names = snapshots if what in REQUESTS[:2] else datasets
    if names:
        services, name = world.new_process(), dice.pick(names[::-1])
        history.act(f"{what} {name}", lambda: _asked(services, what, name))


REQUESTS = ("retry", "override", "wake", "sleep", "roll_back", "resume")


def _asked(services: Any, what: str, name: str) -> None:
    if what in ("wake", "sleep", "roll_back"):
        actions.ask(services, name, what, "ada")
    else:
        getattr(actions, what)(services, name, "ada")


def cancel(history: History) -> None:
    """A person does not want a snapshot any more, wherever it is; or what trains next, as soon as it does."""
    if history.dice.pick((True, False)):
        history.regrets += 1
        return
    rows = list(history.world.rows("snapshot"))
    snapshots = [row.id for row in rows if is_open(row) or row.state == SnapshotState.REGISTERED]
    if snapshots:
        cancel_one(history, history.dice.pick(snapshots[::-1]))


def cancel_one(history: History, snapshot: str) -> None:
    """A person does not want this one any more."""
    services = history.world.new_process()
    history.act(f"cancel {snapshot}", lambda: actions.cancel(services, snapshot, "ada", "not this one"))


def pause(history: History) -> None:
    """A person pauses a dataset, or lets it go on."""
    names = [row.name for row in history.world.rows("dataset")]
    if names:
        services, name = history.world.new_process(), history.dice.pick(names)
        act = history.dice.pick((actions.pause, actions.unpause))
        history.act(f"{act.__name__} {name}", lambda: act(services, name, "ada"))


def delete(history: History) -> None:
    """A person deletes a dataset, with what was dropped or without it."""
    world, dice = history.world, history.dice
    names = sorted({row.name for row in world.rows("dataset")} | {row.dataset for row in world.rows("snapshot")})
    if names:
        services, name, with_files = world.new_process(), dice.pick(names), dice.pick((False, True))
        history.act(f"delete {name}", lambda: actions.delete(services, name, "ada", with_files))


def question(history: History) -> None:
    """A client asks a model."""
    names = [row.name for row in history.world.rows("dataset")]
    if names:
        call(history, history.dice.pick(names))


def at_once(history: History) -> None:
    """A client asks a model that sleeps at the very moment when its dataset's next release may begin."""
    asleep = [row.name for row in history.world.rows("dataset") if row.state == DatasetState.ASLEEP]
    if asleep:
        history.callers.add(history.dice.pick(asleep))


def call(history: History, dataset: str) -> None:
    """A client asks a dataset's model."""
    services = history.world.new_process()
    history.act(f"question {dataset}", lambda: asyncio.run(_question(services, dataset)))


async def _question(services: Any, name: str) -> None:
    try:
        call = ChatCall(name, [ChatTurn(role="user", content="What?")])
        await ChatService(services, notes=InlineExecutor()).answer(call)
    except ApiError:
        return


def time_passes(history: History) -> None:
    """Nothing happens for a while, although something may be due."""
    seconds = history.dice.pick(_JUMPS)
    history.stage.note("nobody", f"does anything for {seconds:.0f} s")
    history.clock.now += seconds


def run_changed(history: History) -> None:
    """Azure ML tells of a run, rightly or not."""
    rows = [row.key for row in history.world.rows("snapshot") if row.job]
    if rows:
        history.world.tell(f"run {history.dice.pick(rows)}", history.dice.pick((0.0, 100.0)))


def azure(history: History) -> None:
    """A job is canceled or is not there any more."""
    dice, workspace = history.dice, history.world.workspace
    training = [r for r in history.world.rows("snapshot") if r.state == SnapshotState.TRAINING and r.job]
    if training:
        job = dice.pick([row.job for row in training])
        if dice.pick((True, False)):
            workspace.fates["job", job] = "Canceled"
            history.stage.note("somebody", f"cancels {job}")
        else:
            workspace.jobs.made.pop(job, None)
            history.stage.note("somebody", f"deletes {job}")


def stray(history: History) -> None:
    """Something that no row explains: a write that comes late, a crash that took the row with it, a row that is lost.

    A ledger that lost all its rows explains nothing, so one row at least stays; and nobody is working on the lost one.
    """
    dice, world = history.dice, history.world
    datasets = list(world.rows("dataset"))
    what = dice.pick(("endpoint", "deployment", "row"))
    if what == "endpoint":
        name = dice.pick(("gone-00000001", "b2-00000002"))
        tags = {naming.TAG_INSTALLATION: world.bare.installation, naming.TAG_DATASET: name.rsplit("-", 1)[0]}
        _late(history, name, lambda: world.workspace.endpoints.write(name, tags, {}))
    elif what == "deployment" and datasets:
        row = dice.pick(datasets)
        tags = naming.tags(world.bare.installation, row.name, f"{row.name}-20260101000000-00000000", 1)
        spec = DeploymentSpec(
            endpoint=row.endpoint, name="stray", model_id="m", instance_type="s", instances=1, concurrency=1,
            timeout_seconds=1, tags=tags,
        )  # fmt: skip
        _late(history, spec.name, lambda: world.workspace.deployments.create(spec))
    elif what == "row" and len(datasets) > 1 and not history.stage.actors:
        row = dice.pick(datasets)
        history.stage.note("nobody", f"knows the row of {row.name}: it is lost")
        world.topic.forget(row)
        del world.storage.blobs["ledger", f"datasets/{row.name}.json"]


def damage(history: History) -> None:
    """Somebody has a hand in the ledger: a row's metadata that nobody knows, a blob that is no row, half a record."""
    dice, blobs = history.dice, history.world.storage.blobs
    what = dice.pick(("next_look_at", "state", "stray", "orphans"))
    rows = [name for box, name in blobs if box == "ledger" and name.startswith(("snapshots/", "datasets/"))]
    if what in ("next_look_at", "state") and rows:
        name = dice.pick(rows)
        blobs["ledger", name].metadata[what] = "soon"
        history.stage.note("somebody", f"writes {what} of {name} by hand")
    elif what == "stray":
        history.world.storage._set("ledger", dice.pick(("snapshots/notes.txt", "datasets/b2/x.json")), b"?", None)
    elif ("ledger", "_orphans.json") in blobs:
        blobs["ledger", "_orphans.json"].data = b"{"


def age(history: History) -> None:
    """The ledger is as an older version leaves it, or has lost cards: nothing but the rows says what is open."""
    dice, blobs = history.dice, history.world.storage.blobs
    older = dice.pick((True, False))
    for box, name in [place for place in blobs if place[0] == "ledger"]:
        if name.startswith("open/") or (older and name.startswith(("_index/", "_uploads"))):
            del blobs[box, name]
        elif older and name.startswith("datasets/"):
            shown = blobs[box, name].metadata
            blobs[box, name].metadata = {k: v for k, v in shown.items() if k in ("state", "next_look_at", "attention")}
    history.stage.note("nobody", "an older version wrote the ledger" if older else "cards are lost")


def deaf(history: History) -> None:
    """The topic takes nothing any more, or takes what it is sent again."""
    topic = history.world.topic
    topic.deaf = not topic.deaf
    history.stage.note("the topic", "takes nothing any more" if topic.deaf else "takes what it is sent")


def _late(history: History, name: str, act: Callable[[], object]) -> None:
    """A write that comes late takes effect, unless Azure refuses it."""
    with contextlib.suppress(PipelineError):
        act()
        history.stage.note("nobody", f"waits for {name}: it is made all the same")


def tamper(history: History) -> None:
    """Somebody deletes an endpoint, or a deployment without traffic, past the app."""
    dice, world = history.dice, history.world
    endpoints, deployments = world.workspace.endpoints, world.workspace.deployments
    name = dice.pick(sorted(name for name in list(endpoints.made) if endpoints.find(name)) or [""])
    if not name:
        return
    idle = [below for at, below in deployments.made if at == name and not endpoints.made[name].value.traffic.get(below)]
    below = dice.pick(["", *sorted(idle)])
    for key in [key for key in deployments.made if key[0] == name and below in ("", key[1])]:
        del deployments.made[key]
    if not below:
        del endpoints.made[name]
    history.stage.note("somebody", f"deletes {name}{'/' if below else ''}{below} past the app")


MOVES: tuple[Callable[[History], None], ...] = (
    go_on, drop, overwrite, switch, out_of_order, repeat, lose, sweep, night, ask, question, time_passes, run_changed,
    azure, stray, tamper, at_once, damage, age, cancel, deaf, delete, pause, import_one,
)  # fmt: skip
