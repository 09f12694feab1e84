"""A process that can be killed at any call, and the clock of the in-memory world."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

START = 1_790_000_000.0


class Killed(BaseException):
    """The process was killed at this call: nothing after it happens, not even clean-up."""


@dataclass
class Process:
    """Counts the calls that leave the process, and dies at a chosen one: `before` or after it took effect."""

    die_at: int = -1
    before: bool = True
    calls: int = 0
    alive: bool = True
    lives: int = 0

    def __setattr__(self, name: str, value: object) -> None:
        """One that is made alive again is another process, and what the one before held locally is free."""
        if name == "alive" and value and not getattr(self, "alive", True):
            self.lives += 1
        super().__setattr__(name, value)

    def call[T](self, act: Callable[[], T]) -> T:
        """One call to the outside."""
        if not self.alive:
            raise Killed
        self.calls += 1
        dies = self.calls == self.die_at
        if dies and self.before:
            self.alive = False
            raise Killed
        done = act()
        if dies:
            self.alive = False
            raise Killed
        return done


@dataclass
class Clock:
    """Seconds since 1970, moved by the test."""

    now: float = START

    def __call__(self) -> float:
        return self.now


class InlineExecutor(Executor):
    """Does at once what it is given, in the caller's thread: what a test looks at afterwards has happened."""

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done
