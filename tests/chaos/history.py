"""One history: chaos by seed, then calm until everything has settled, then the verdict.

When a promise is broken the history ends at once. After the first verdict a person resumes whatever waits for one;
since nothing fails any more, nothing may be left that waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any
from unittest import mock

from shared.errors import PipelineError
from shared.ledger.states import DatasetState, SnapshotState
from shared.operations import actions, damage, sweep, whole_ledger
from shared.snapshots import imports, intake
from tests.chaos import endings, moves
from tests.chaos.dice import Dice, Script
from tests.chaos.imported import NeverHeld
from tests.chaos.profile import profile
from tests.chaos.stage import Actor, Line, OddError
from tests.chaos.world import ChaosWorld
from tests.fake_process import Killed

SWEEP_SECONDS, NIGHT_SECONDS = 300.0, 86_400.0
AGAIN_SECONDS = 30.0
# Longer than any limit, back-off and grace time of the app together (s).
SETTLES_WITHIN = 5 * 86_400.0
_QUIET = 3600.0


@dataclass
class Verdict:
    """What became of a history: the promises it broke, the choices that were made, and the story."""

    seed: int
    broken: list[str]
    choices: dict[tuple[int, int], int]
    lines: list[Line] = field(repr=False)

    @property
    def promise(self) -> str:
        """The first broken promise, without what differs between histories."""
        return " ".join(w for w in self.broken[0].split() if not any(c.isdigit() for c in w)) if self.broken else ""


@dataclass
class History:
    """A history while it runs."""

    seed: int
    script: Script | None = None
    make: Callable[..., ChaosWorld] = ChaosWorld

    def __post_init__(self) -> None:
        self.dice = Dice(self.seed, self.script)
        self.profile = profile(self.seed, len(moves.MOVES))
        self.world = self.make(self.dice, self.profile)
        self.stage, self.clock = self.world.stage, self.world.clock
        self.next_sweep, self.next_night = self.clock() + SWEEP_SECONDS, self.clock() + NIGHT_SECONDS
        self.count = 0
        self.callers = set[str]()
        self.regrets = 0

    def run(self) -> Verdict:
        """The whole history."""
        broken = self._played()
        self.dice.calm = True
        for actor in list(self.stage.actors):  # after a broken promise some are left: their threads must end
            if broken:
                actor.dead = True
                if actor.started:
                    self.stage.resume(actor)
        return Verdict(self.seed, broken, self.dice.eventful, self.stage.lines)

    def _played(self) -> list[str]:
        broken = self.world.promises.broken
        if self.profile.served:
            self._served()
        moves.drop(self)
        for _ in range(self.profile.length):
            self.dice.next_move()
            moves.MOVES[self.dice.roll(self.profile.moves) if len(self.stage.actors) < 5 else 0](self)
            if broken:
                return broken
        self.stage.note("nobody", "the chaos is over")
        self.dice.calm = True
        self.world.metrics.rate, self.world.metrics.readable = None, True
        self.world.topic.deaf = False
        self._mend()
        self._unpause()
        for phase in (self._in_the_end, self._operator):
            phase()
            if broken:
                return broken
            broken += endings.broken(self.world)
            if broken:
                return broken
        broken += [f"{row.key} still waits for a person" for row in self._waiting()]
        return broken

    def _mend(self) -> None:
        """A person mends what is damaged in the ledger, as `python -m cli.ledger --mend` does."""
        try:
            for blob in damage.find(self.world.bare):
                self.stage.note("ada", damage.mend(self.world.bare, blob))
        except ValueError as error:
            self.world.promises.require(False, f"mending met {error!r}")

    def _unpause(self) -> None:
        """A person lets everything go on."""
        for row in [row for row in self.world.rows("dataset") if row.pause]:
            actions.unpause(self.world.bare, row.name, "ada")

    def _served(self) -> None:
        """A first release, without any trouble."""
        self.dice.calm = self.dice.kind = True
        moves.drop(self)
        self._settle()
        if self.profile.asleep:
            for row in self.world.rows("dataset"):
                actions.ask(self.world.bare, row.name, "sleep", "ada")
            self._settle()
        self.stage.note("nobody", "had any trouble so far")
        self.dice.calm = self.dice.kind = False

    def _waiting(self) -> list[Any]:
        return [row for kind in ("snapshot", "dataset") for row in self.world.rows(kind) if row.attention]

    def _operator(self) -> None:
        """A person resumes what waits for one."""
        waiting = self._waiting()
        for row in waiting:
            self.stage.note("ada", f"resumes {row.key}")
            name = row.key.split("/", 1)[1]
            ask = actions.retry if row.key.startswith("snapshot/") else actions.resume
            ask(self.world.bare, name, "ada")
        if waiting:
            self._in_the_end()

    def _in_the_end(self) -> None:
        """Until nothing moves; and what no row explains was found once and once more after the grace time."""
        self._settle()
        if self.world.told:  # what lost its card is found by the look of a night
            self.next_night = self.clock()
        self.sweep()
        self.clock.now += self.world.bare.settings.orphan_grace_hours * 3600
        self.sweep()
        self.clock.now += self.world.workspace.pace
        self._settle()
        self.clock.now += self.world.workspace.pace  # what the last sweep removed takes as long

    def _settle(self) -> None:
        end = self.clock() + SETTLES_WITHIN
        while not self.world.promises.broken:
            if self.clock() > end:
                self.world.promises.require(False, "nothing settles: it goes on for ever")
            elif self._quiet():
                self.sweep()
                if self._quiet():
                    return
            else:
                self.go_on()

    def _quiet(self) -> bool:
        """Whether nothing comes within the hour, and no row plans another look."""
        upcoming = self._upcoming()
        if upcoming and upcoming[0] < self.clock() + _QUIET:
            return False
        looks = (
            float(stored.metadata.get("next_look_at", "inf"))
            for (container, _), stored in self.world.storage.blobs.items()
            if container == "ledger"
        )
        return min(looks, default=inf) > self.clock() + _QUIET

    # --- what comes next ---

    def _upcoming(self) -> tuple[float, str, Any] | None:
        """What comes next: who is interrupted goes on; else what is due first."""
        for actor in self.stage.actors:
            if actor.stalled_at is None:
                return self.clock(), "actor", actor
        found: list[tuple[float, str, Any]] = [(a.wakes_at, "actor", a) for a in self.stage.actors]
        if self.world.storage.messages:
            message = min(self.world.storage.messages)
            found.append((message[0], "message", message))
        if self.world.events:
            event = min(self.world.events)
            found.append((event[0], "event", event))
        return min(found, key=lambda f: f[:2], default=None)

    def go_on(self) -> None:
        """The uneventful move: what comes next happens, at its time."""
        found = self._upcoming()
        if found is None or found[0] > self.next_sweep:
            self.clock.now = max(self.clock.now, self.next_sweep)
            self.next_sweep = self.clock.now + SWEEP_SECONDS
            self.sweep()
            return
        at, what, thing = found
        self.clock.now = max(self.clock.now, at)
        if what == "actor":
            self.resume(thing)
            if self.dice.calm and " pause " in thing.name:  # who was slow to pause it, and does so after the chaos
                self._unpause()
        elif what == "message":
            self.deliver_message(thing)
        else:
            self.deliver_event(thing)

    def deliver_message(self, message: tuple[float, int, str]) -> None:
        """A message of the queue is handed to a new process; it comes again if that process does not finish."""
        self.world.storage.messages.remove(message)
        self._call_first(message[2])
        services, text = self.world.new_process(), message[2]
        self.act(f"step {text}", lambda: self.world.step(services, text), lambda: self._send_again(text))

    def _call_first(self, message: str) -> None:
        """Whoever waits for the moment in which a sleeping dataset may release something calls now."""
        if self.regrets and message.startswith("snapshot/"):
            self._regret(message.removeprefix("snapshot/").partition("#")[0].removesuffix("?"))
        dataset = message.removeprefix("dataset/").removesuffix("?")
        if dataset in self.callers:
            row = next((row for row in self.world.rows("dataset") if row.name == dataset), None)
            if row and row.state == DatasetState.ASLEEP and row.next_release:
                self.callers.discard(dataset)
                moves.call(self, dataset)

    def _regret(self, snapshot: str) -> None:
        """Whoever waits for a job to run does not want it any more."""
        row = next((row for row in self.world.rows("snapshot") if row.id == snapshot), None)
        if row and row.state == SnapshotState.TRAINING:
            self.regrets -= 1
            moves.cancel_one(self, snapshot)

    def deliver_event(self, event: tuple[float, int, str]) -> None:
        """An event is handed to a new process; it comes again if that process does not finish."""
        self.world.events.remove(event)
        services, (what, _, where) = self.world.new_process(), event[2].partition(" ")

        def act() -> None:
            if what == "upload":
                intake.receive(services, where)
            else:
                services.ledger.hint(where)

        self.act(event[2], act, lambda: self.world.tell(event[2], AGAIN_SECONDS))

    def sweep(self) -> None:
        """The sweep timer fires."""
        services = self.world.new_process()
        self.act("sweep", lambda: sweep.sweep(services))
        if self.clock() >= self.next_night:
            self.next_night = self.clock() + NIGHT_SECONDS
            self.act("look at all", lambda: whole_ledger.look(services))

    def _send_again(self, text: str) -> None:
        self.world.storage.send(text, AGAIN_SECONDS)

    def act(self, name: str, act: Callable[[], Any], again: Callable[[], None] = lambda: None) -> None:
        """A new process does something; `again` is called when it dies, fails or stalls."""
        self.count += 1
        actor = self.stage.enter(f"#{self.count} {name}"[:44], act)
        actor.on_stall = again
        if self.dice.calm:
            self.stage.run_through(actor)
            self._ended(actor)
        else:
            self.resume(actor)

    def resume(self, actor: Actor) -> None:
        """Gives an actor the turn."""
        self.stage.resume(actor)
        if actor.ended:
            self._ended(actor)

    def _ended(self, actor: Actor) -> None:
        if actor.error is None:
            return
        if not isinstance(actor.error, Killed | OddError | PipelineError):
            self.world.promises.require(False, f"{actor.name.split(' ')[1]} met {actor.error!r}")
        if isinstance(actor.error, Killed | PipelineError | OddError):
            self.stage.note(actor.name, f"ends with {actor.error!r}")
            actor.on_stall()


def play(seed: int, script: Script | None = None, make: Callable[..., ChaosWorld] = ChaosWorld) -> Verdict:
    """Runs the history of a seed."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with mock.patch.object(imports, "_AT_WORK", NeverHeld()):
            return History(seed, script, make).run()
    finally:
        logging.disable(before)
