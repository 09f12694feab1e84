"""`droptune ask`: one question to a model, or a chat in the terminal. The answer is printed as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cli import printing
from cli.client import raise_for
from cli.failures import CommandFailed, Exit

if TYPE_CHECKING:
    from cli.client import AppClient

# The longest that one asks the app to wait for a model that sleeps (s), and that an answer may take.
WAKE_SECONDS, ANSWER_SECONDS = 90, 180.0
_END = "[DONE]"


def pieces(client: AppClient, model: str, turns: list[dict[str, str]], **parameters: Any) -> Iterator[str]:
    """The text of an answer as it comes. A sleeping model is waited for. Raises CommandFailed."""
    import httpx
    from axio_sse import Decoder

    body = {"model": model, "messages": turns, "stream": True, **parameters}
    headers = {"Prefer": f"wait={WAKE_SECONDS}"}
    try:
        with client.http.stream(
            "POST", "v1/chat/completions", json=body, headers=headers, timeout=ANSWER_SECONDS
        ) as response:
            if not response.is_success:
                response.read()
                raise_for(response)
            decoder = Decoder()
            for text in response.iter_text():
                for event in decoder.decode(text):
                    if event.data == _END:
                        return
                    yield _text_of(json.loads(event.data))
    except httpx.HTTPError as error:
        raise client.unreachable(error) from error


def _text_of(event: dict[str, Any]) -> str:
    """What an event adds to the answer. Raises CommandFailed for one that says that it broke off."""
    if error := event.get("error"):
        raise CommandFailed(Exit.UNREACHABLE, f"the answer broke off: {error.get('message', 'no reason given')}")
    choices = event.get("choices") or [{}]
    return choices[0].get("delta", {}).get("content") or ""


def once(client: AppClient, model: str, turns: list[dict[str, str]], **parameters: Any) -> str:
    """Asks, prints the answer as it comes, and returns it whole."""
    said = []
    for piece in pieces(client, model, turns, **parameters):
        said.append(piece)
        printing.console().print(_visible(piece), end="", markup=False)
    printing.console().print()
    return "".join(said)


def chat(
    client: AppClient, model: str, turns: list[dict[str, str]], read: Callable[[], str], **parameters: Any
) -> None:
    """A dialogue until the end of the input, or an empty line. A question that failed may be asked again."""
    while question := read().strip():
        turns.append({"role": "user", "content": question})
        try:
            turns.append({"role": "assistant", "content": once(client, model, turns, **parameters)})
        except CommandFailed as failure:
            printing.print_line(str(failure))
            turns.pop()


def _visible(text: str) -> str:
    """A model's text, without characters that would move the cursor or change the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
