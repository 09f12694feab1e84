"""Callers that ask one question after the other, each on a kept connection, and what they saw."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

type Ask = Callable[[], Awaitable[str]]


@dataclass
class CallStatistics:
    """Calls in one stretch of time: latencies of the good ones in ms, and what was wrong with the others."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """The nearest-rank percentile of the latencies, ms."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def add(self, other: CallStatistics) -> None:
        """Another stretch of the same."""
        self.merge(other)
        self.seconds += other.seconds

    def merge(self, other: CallStatistics) -> None:
        """Other callers in the same stretch."""
        self.latencies += other.latencies
        self.failures += other.failures


@dataclass(frozen=True)
class TimedRequest:
    """One POST and how its good answer is told."""

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    # A text that every good answer holds.
    expected: str

    def bound_to(self, session: aiohttp.ClientSession, note: Callable[[str], None] = lambda text: None) -> Ask:
        """What a caller does: asks, and returns what was wrong with the answer, or nothing. `note` gets good ones."""

        async def ask() -> str:
            try:
                async with session.post(self.url, json=self.body, headers=self.headers) as answer:
                    text = await answer.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                return f"{type(error).__name__}: {error}"
            if answer.status != 200:
                return f"HTTP {answer.status}: {text[:200]}"
            if self.expected not in text:
                return f"HTTP 200 with another answer: {text[:200]}"
            note(text)
            return ""

        return ask


@asynccontextmanager
async def connections(authority: str) -> AsyncIterator[aiohttp.ClientSession]:
    """As many kept connections as there are callers."""
    trust = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(limit=0, ssl=trust)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        yield session


async def ask_for(seconds: float, callers: int, ask: Ask) -> CallStatistics:
    """So many callers for so long."""
    end = time.monotonic() + seconds
    return await ask_while(lambda: time.monotonic() < end, callers, ask)


async def ask_times(calls: int, callers: int, ask: Ask) -> CallStatistics:
    """So many calls, spread over the callers as they come."""
    left = iter(range(calls))
    return await ask_while(lambda: next(left, None) is not None, callers, ask)


async def ask_while(more: Callable[[], bool], callers: int, ask: Ask) -> CallStatistics:
    """So many callers, each until there is no more to be asked."""
    seen = CallStatistics()

    async def one() -> None:
        while more():
            begun = time.perf_counter()
            if wrong := await ask():
                seen.failures[wrong] += 1
                await asyncio.sleep(0.01)  # whoever is refused at once would ask nothing else
            else:
                seen.latencies.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(callers)))
    seen.seconds = time.perf_counter() - begun
    return seen
