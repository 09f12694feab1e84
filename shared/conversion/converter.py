"""One row after the other into messages, with what was changed in each. Used by whoever has rows of another shape.

What is changed is little and has a name: roles are renamed, parts that are only text are joined, turns that nobody is
to learn from are left out. Whether the dialogue is a good one is for the rules of validation to say: what is wrong with
it is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.conversion.recognition import SHAPES
from shared.conversion.roles import CALL_ROLES, EXACT, TOOL_ROLES, role_of
from shared.conversion.values import Reading, Row, Turns, Unusable

CHANGES = {
    "role-renamed": "roles were renamed: human or person to user, gpt, bot or model to assistant",
    "parts-joined": "a content in parts that are only text became one text",
    "number-as-text": "a number became a text",
    "empty-system-left-out": "an empty system turn was left out",
    "weight-0-left-out": "an answer of weight 0 was left out, with the user turns that it answers",
    "beginning-left-out": "answers before the first user turn were left out",
    "ending-left-out": "user turns behind the last answer were left out",
    "tools-kept": "calls of tools became answers, and what tools gave back turns of the role tool",
}
"""What may be changed in a dialogue."""


class Converted(NamedTuple):
    """The messages that a row became, and the CHANGES made; or the reason (of REASONS) why it became none."""

    messages: list[Any] | None
    reason: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Converter:
    """Makes messages of rows, all by one reading. `keep_unweighted`: answers of weight 0 are learned from as others
    are. `keep_tools`: calls and results of tools stay, for a model whose template knows the role `tool`."""

    reading: Reading
    keep_unweighted: bool = False
    keep_tools: bool = False

    def convert(self, row: Row) -> Converted:
        """The messages of one row. Always the same for the same row."""
        if not isinstance(row, dict):
            return Converted(None, "turns-missing")
        try:
            turns = SHAPES[self.reading.shape].turns(row, self.reading)
        except Unusable as why:
            return Converted(None, str(why))
        changes: dict[str, None] = {}
        found = self._plain(turns, changes)
        if not self.keep_unweighted:
            found = _without_unweighted(found, changes)
        found = _without_ends(found, changes)
        return Converted([_written(one) for one in found], "", tuple(changes))

    def _plain(self, turns: Turns, changes: dict[str, None]) -> Turns:
        """The turns with the roles and contents that we have, as far as they have them."""
        found: Turns = []
        for one in turns:
            if not isinstance(one, dict) or "role" not in one or "content" not in one:
                found.append(one)
                continue
            role, content = one["role"], one["content"]
            if type(content) is not str:
                content = _text(content, changes)
            if role != "assistant" and role != "user" and isinstance(role, str):
                role = self._role(role, changes)
                if role == "system" and (content is None or content == ""):
                    changes["empty-system-left-out"] = None
                    continue
            found.append(
                one if role is one["role"] and content is one["content"] else one | {"role": role, "content": content}
            )
        return found

    def _role(self, name: str, changes: dict[str, None]) -> str:
        role = EXACT.get(name) or role_of(name)
        plain = role.strip().lower()
        if self.keep_tools and plain in TOOL_ROLES:
            changes["tools-kept"] = None
            return "assistant" if plain in CALL_ROLES else "tool"
        if role != name and self.reading.shape == "messages":  # other shapes have names of their own
            changes["role-renamed"] = None
        return role


def _text(content: Any, changes: dict[str, None]) -> Any:
    """A content as text, if it is only text; else as it is, for validation to refuse by name."""
    if isinstance(content, list) and content:
        texts = [part.get("text") if isinstance(part, dict) else None for part in content]
        kinds = {part.get("type", "text") for part in content if isinstance(part, dict)}
        if all(isinstance(text, str) for text in texts) and kinds <= {"text", "input_text", "output_text", None}:
            changes["parts-joined"] = None
            return "".join(map(str, texts))
    if isinstance(content, int | float) and not isinstance(content, bool):
        changes["number-as-text"] = None
        return str(content)
    return content


def _without_unweighted(turns: Turns, changes: dict[str, None]) -> Turns:
    """The turns without answers of weight 0. Where all weigh 0 they stay: validation says that nothing is learned."""
    weights = [one.get("weight") for one in turns if isinstance(one, dict) and one.get("role") == "assistant"]
    if 0 not in weights or all(weight == 0 and weight is not None for weight in weights):
        return turns
    changes["weight-0-left-out"] = None
    kept: Turns = []
    for one in turns:
        if isinstance(one, dict) and one.get("role") == "assistant" and one.get("weight") == 0:
            while kept and _role_of(kept[-1]) == "user":
                kept.pop()
        else:
            kept.append(one)
    return kept


def _without_ends(turns: Turns, changes: dict[str, None]) -> Turns:
    """The turns from the first question on, to the last answer. A dialogue without any of these is left as it is."""
    if turns and _role_of(turns[-1]) == "assistant" and _role_of(turns[0]) == "user":
        return turns
    first = 1 if turns and _role_of(turns[0]) == "system" else 0
    start, end = first, len(turns)
    while start < end and _role_of(turns[start]) == "assistant":
        start += 1
    while end > start and _role_of(turns[end - 1]) == "user":
        end -= 1
    if start == end:
        return turns
    if start > first:
        changes["beginning-left-out"] = None
    if end < len(turns):
        changes["ending-left-out"] = None
    return turns[:first] + turns[start:end]


def _role_of(one: Any) -> Any:
    return one.get("role") if isinstance(one, dict) else None


_KEPT = ("role", "content", "tool_calls", "function_call", "weight")


def _written(one: Any) -> Any:
    """A turn as it is checked, and written if it is good: then there are no calls, and the weight has done its work."""
    if type(one) is not dict or len(one) == 2:
        return one
    return {name: value for name, value in one.items() if name in _KEPT}
