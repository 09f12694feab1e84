"""Who runs when: workers as threads of which exactly one runs, handed the turn at each call that leaves the process.

At each call the dice say what becomes of it: it works, the worker is interrupted or stalls before it, the process dies
before or after it, the service is busy before or after it took effect. So any interleaving can happen, and a seed
replays it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from shared.errors import LedgerConflict, ServiceBusy
from tests.chaos.dice import Dice
from tests.fake_process import START, Clock, Killed

# What a call takes (s), so that no two things happen at the same moment.
CALL_SECONDS = 0.01
# How long a worker may stall (s): shorter and longer than a lease, and longer than any time-out.
STALLS = (12.0, 25.0, 45.0, 90.0, 400.0)
_STUCK_SECONDS = 60
_ACTOR: contextvars.ContextVar[Actor | None] = contextvars.ContextVar("actor", default=None)


class Fate(IntEnum):
    """What becomes of a call."""

    WORKS = 0
    INTERRUPTED = 1
    STALLED = 2
    DIES_BEFORE = 3
    DIES_AFTER = 4
    BUSY_BEFORE = 5
    BUSY_AFTER = 6
    ODD = 7


class OddError(Exception):
    """An error nobody planned for, such as a connection reset that an SDK lets through."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story, put into words only when somebody reads it."""

    at: float
    who: str
    what: str
    args: tuple[Any, ...] | None
    end: str

    def __str__(self) -> str:
        shown = "" if self.args is None else f"({', '.join(map(_short, self.args))})"
        return f"{self.at - START:10.2f}  {self.who:<24} {self.what}{shown}{self.end}"


class Actor:
    """One invocation in a process of its own: a step, an event, a timer, a request."""

    def __init__(self, stage: Stage, name: str, act: Callable[[], Any]) -> None:
        self.stage, self.name, self.act = stage, name, act
        self.turn = threading.Lock()
        self.turn.acquire()
        self.started = self.ended = self.dead = False
        self.began_at = stage.clock()
        self.stalled_at: float | None = None
        self.ended_at = 0.0
        self.wakes_at = 0.0
        self.error: BaseException | None = None
        self.on_stall: Callable[[], None] = lambda: None

    def run(self) -> None:
        _ACTOR.set(self)
        try:
            self.act()
        except BaseException as error:  # noqa: BLE001 - whatever it was: the stage is told
            self.error = error
        self.ended, self.ended_at = True, self.stage.clock()
        self.stage.back.release()

    def pause(self) -> None:
        """Gives the turn back, and waits for the next one."""
        self.stage.back.release()
        self.turn.acquire()

    @property
    def renews(self) -> bool:
        """Whether its leases are renewed: it lives, and is not stalled."""
        return not (self.ended or self.dead or self.stalled_at is not None)

    @property
    def silent_since(self) -> float:
        """When its leases were renewed last, if they are not any more."""
        return self.stalled_at if self.stalled_at is not None else self.ended_at


class Stage:
    """The actors of one history, and the fate of each of their calls. `fates` are accumulated weights."""

    def __init__(self, dice: Dice, clock: Clock, fates: tuple[float, ...]) -> None:
        self.dice, self.clock, self.fates = dice, clock, fates
        self.actors: list[Actor] = []
        self.back = threading.Lock()
        self.back.acquire()
        self.lines: list[Line] = []
        self.on_wake: Callable[[Actor], None] = lambda actor: None

    def note(self, who: str, what: str, args: tuple[Any, ...] | None = None, end: str = "") -> None:
        """One line of the story."""
        self.lines.append(Line(self.clock.now, who, what, args, end))

    def enter(self, name: str, act: Callable[[], Any]) -> Actor:
        """An actor that runs when it is resumed."""
        actor = Actor(self, name, act)
        self.actors.append(actor)
        return actor

    def resume(self, actor: Actor) -> None:
        """Gives an actor the turn until it is interrupted or has ended."""
        if actor.stalled_at is not None:
            self.clock.now = max(self.clock.now, actor.wakes_at)
            self.on_wake(actor)
            self.note(actor.name, "wakes up")
            actor.stalled_at = None
        if actor.started:
            actor.turn.release()
        else:
            actor.started = True
            # Not from a pool: that may count on a worker which was taken just then, and the actor would never start.
            threading.Thread(target=contextvars.Context().run, args=(actor.run,), name=actor.name, daemon=True).start()
        if not self.back.acquire(timeout=_STUCK_SECONDS):
            raise RuntimeError(f"{actor.name} neither ends nor calls anything")
        if actor.ended:
            self.actors.remove(actor)

    def run_through(self, actor: Actor) -> None:
        """Runs an actor whom nothing will interrupt, without handing the turn over."""
        actor.started = True
        _ACTOR.set(actor)
        try:
            actor.act()
        except BaseException as error:  # noqa: BLE001 - whatever it was: the stage is told
            actor.error = error
        _ACTOR.set(None)
        actor.ended, actor.ended_at = True, self.clock()
        self.actors.remove(actor)

    def current(self) -> Actor | None:
        """Who runs; None outside of actors."""
        return _ACTOR.get()

    def call(self, part: str, name: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        """One call that leaves the process."""
        actor = _ACTOR.get()
        if actor is None:
            return act()
        if actor.dead:
            raise Killed
        self.clock.now += CALL_SECONDS
        fate = Fate(self.dice.roll(self.fates))
        if fate in (Fate.INTERRUPTED, Fate.STALLED):
            self._wait(actor, fate, f"{part}.{name}", args)
            fate = Fate.WORKS
        return self._done(actor, fate, f"{part}.{name}", args, act)

    def _wait(self, actor: Actor, fate: Fate, what: str, args: tuple[Any, ...]) -> None:
        if fate is Fate.STALLED:
            seconds = self.dice.pick(STALLS)
            actor.stalled_at, actor.wakes_at = self.clock.now, self.clock.now + seconds
            self.note(actor.name, f"stalls for {seconds:.0f} s before {what}", args)
            actor.on_stall()
        else:
            self.note(actor.name, f"is interrupted before {what}", args)
        actor.pause()

    def _done(self, actor: Actor, fate: Fate, what: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        if fate is Fate.WORKS:
            return self._noted(actor, what, args, act)
        self.note(actor.name, what, args, f": {fate.name}")
        if fate is Fate.DIES_BEFORE:
            raise self._killed(actor)
        if fate is Fate.BUSY_BEFORE:
            raise ServiceBusy(f"{what}: HTTP 503")
        if fate is Fate.ODD:
            raise OddError(f"{what}: connection reset")
        done = self._noted(actor, what, args, act)
        if fate is Fate.DIES_AFTER:
            raise self._killed(actor)
        if what in ("storage.create", "storage.replace") and self.dice.roll((1.0, 2.0)):
            raise LedgerConflict(f"{what}: the SDK sent it again and met its own first try")
        if what == "storage.lease":
            done.abandoned_at = self.clock.now
        raise ServiceBusy(f"{what}: no answer, although it took effect")

    def _killed(self, actor: Actor) -> Killed:
        actor.dead = True
        return Killed()

    def _noted(self, actor: Actor, what: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        try:
            done = act()
        except Exception as error:
            self.note(actor.name, what, args, f": {type(error).__name__}: {error}")
            raise
        if what in _TOLD:
            self.note(actor.name, what, args)
        return done


_TOLD = frozenset(
    f"{part}.{name}"
    for part, names in {
        "storage": "create replace put delete commit lease release send",
        "jobs": "submit",
        "models": "register",
        "endpoints": "write delete",
        "deployments": "create delete",
        "compute": "create",
        "scorer": "ask",
        "topic": "send",
    }.items()
    for name in names.split()
)


def _short(arg: Any) -> str:
    if isinstance(arg, bytes):
        return "<bytes>"  # no size: a report holds how long its making took
    name = getattr(arg, "name", None)
    text = name if isinstance(name, str) else str(arg)
    return text if len(text) <= 90 else f"{text[:87]}..."


class Wire:
    """A part seen from inside an app: each of its methods is one call over the wire."""

    def __init__(self, stage: Stage, part: str, target: Any) -> None:
        self._stage, self._part, self._target = stage, part, target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found
        stage, part = self._stage, self._part

        def call(*args: Any, **more: Any) -> Any:
            return stage.call(part, name, args, lambda: found(*args, **more))

        self.__dict__[name] = call
        return call
