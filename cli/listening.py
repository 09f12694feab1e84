"""How `droptune watch` waits: for an event of the app, or for a moment where the app sends none.

An event only says that it is time to ask again, so one that is lost or comes twice costs a request and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import httpx

    from cli.client import AppClient

POLL_SECONDS = 1.0
# The app sends something every 15 s; whoever hears nothing for so long (s) has lost it.
_SILENCE = 45.0
# An app that takes no more listeners is asked again so much later (s).
_LATER = 30.0


class Listener:
    """Waits for what happens to one snapshot. Use as a context manager; it connects when it first waits."""

    def __init__(self, client: AppClient, snapshot: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._snapshot, self._sleep = client, snapshot, sleep
        self._stream: Iterator[None] | None = None
        self._not_before = 0.0
        self._last_id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def wait(self) -> None:
        """Returns when something may have happened: at an event, at the latest after some 15 s, and after a second
        where the app has no events for us."""
        if self._stream is None and time.monotonic() >= self._not_before:
            self._stream = self._events()
        if self._stream is not None:
            try:
                next(self._stream)
                return
            except StopIteration:
                self._stream = None
        self._sleep(POLL_SECONDS)

    def _events(self) -> Iterator[None]:
        """One for each event, and for each sign that the app is still there; ends with the stream, or at once where
        the app refuses it."""
        import httpx

        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        timeout = httpx.Timeout(_SILENCE)
        try:
            with self._client.http.stream(
                "GET", "events", params={"snapshot": self._snapshot}, headers=headers, timeout=timeout
            ) as answer:
                if answer.is_success:
                    yield from self._read(answer)
                else:
                    self._not_before = time.monotonic() + _LATER
        except httpx.HTTPError:  # what is wrong is found out by the next question
            self._not_before = time.monotonic() + POLL_SECONDS

    def _read(self, answer: httpx.Response) -> Iterator[None]:
        from axio_sse import Decoder

        decoder = Decoder()
        for text in answer.iter_text():
            for event in decoder.decode(text):
                self._last_id = event.id or self._last_id
            yield

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and hasattr(stream, "close"):
            stream.close()
