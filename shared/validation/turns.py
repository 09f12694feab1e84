"""The rules about a row's dialogue, on plain Python values: the same for every file format.

`glance` answers fast for many rows that are all plainly good, and for nothing else; `examine` is complete and
decides about all others. A row that `glance` passes has no problem under `examine`: a property test holds
them together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import xxhash

from shared.validation import scan
from shared.validation.policy import Policy
from shared.validation.rules import Problem, kind_of, shown

_TOOL_ROLES = frozenset({"tool", "function", "ipython", "tool_call", "tool_response", "observation"})
_ROLES = ("system", "user", "assistant")
_ALIASES = {
    "human": "user",
    "person": "user",
    "customer": "user",
    "prompter": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "developer": "system",
}
_KNOWN_PATTERNS = 10_000


class Dialogue(NamedTuple):
    """A good row: who speaks, and what.

    `text` is all contents with NUL between them, which no content has. It is hashed with `seed`, which is made of the
    roles: so hashes are equal for equal dialogues only, whatever file they come from.
    """

    roles: tuple[str, ...]
    contents: list[str]
    text: str
    seed: int
    fields: tuple[str, ...] = ()
    """Names in its turns, where there are others than role and content."""

    def alone(self) -> DialogueBatch:
        """This one, as column of one."""
        data = self.text.encode()
        return DialogueBatch([self.roles], [self.contents], [self.text], [self.seed], [data], data)


class DialogueBatch(NamedTuple):
    """Good dialogues one after the other, by column."""

    roles: list[tuple[str, ...]]
    contents: list[list[str]]
    texts: list[str]
    seeds: list[int]
    data: list[bytes]
    """The texts in UTF-8."""
    whole: bytes
    """All of that, with NUL between: what is to be found in none of them is looked for once."""

    def head(self, count: int) -> DialogueBatch:
        """The first ones."""
        data = self.data[:count]
        roles, contents = self.roles[:count], self.contents[:count]
        return DialogueBatch(roles, contents, self.texts[:count], self.seeds[:count], data, b"\0".join(data))

    def each(self) -> Iterator[Dialogue]:
        """One by one."""
        return map(Dialogue, self.roles, self.contents, self.texts, self.seeds)


class TurnChecker:
    """Checks dialogues under one policy. Remembers role sequences already found good."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known = frozenset(policy.roles) | ({"system"} if policy.system_turns == "fold" else frozenset())
        self._good_patterns: dict[tuple[str, ...], int] = {}

    def glance(self, roles: list[Any], contents: list[Any], counts: Sequence[int]) -> DialogueBatch | None:
        """Return dialogues if all are plainly good; None says nothing.

        Roles and contents are those of all turns; the first `counts[0]` of them make the first dialogue, and so on.
        """
        good = self._good_patterns
        spans = list(pairwise(accumulate(counts, initial=0)))
        try:
            # strip leaves a text empty if it is empty or blank
            if not all(map(str.strip, contents)):
                return None
            patterns = [tuple(roles[start:end]) for start, end in spans]
            seeds = [good[pattern] for pattern in patterns]
        except (TypeError, KeyError):
            return None
        parted = [contents[start:end] for start, end in spans]
        texts = list(map("\0".join, parted))
        data = list(map(str.encode, texts))
        found = DialogueBatch(patterns, parted, texts, seeds, data, b"\0".join(data))
        return found if scan.count(found.whole, 0) == len(contents) - 1 else None

    def examine(self, row: Any) -> tuple[Dialogue | None, list[Problem]]:
        """Return every problem of the row, or else its dialogue."""
        if not isinstance(row, dict):
            return None, [Problem("not-an-object", None, kind_of(row), 'an object with "messages"')]
        if "messages" not in row:
            near = difflib.get_close_matches("messages", [*map(str, row)], n=1, cutoff=0.6)
            found = f"no messages, but {shown(near[0])}" if near else f"fields {_names(row)}"
            return None, [Problem("messages-missing", None, found, "messages")]
        messages = row["messages"]
        if not isinstance(messages, list):
            return None, [Problem("messages-not-list", "messages", kind_of(messages), "a list of turns")]
        if not messages:
            return None, [Problem("messages-empty", "messages", "a list of 0", "at least one question and answer")]
        if len(messages) > self._policy.max_messages:
            expected = f"at most {self._policy.max_messages}"
            return None, [Problem("too-many-messages", "messages", f"{len(messages)} turns", expected)]
        return self._examine_turns(messages)

    def _examine_turns(self, messages: list[Any]) -> tuple[Dialogue | None, list[Problem]]:
        problems: list[Problem] = []
        roles: list[str] = []
        for at, turn in enumerate(messages):
            path = f"messages[{at}]"
            if not isinstance(turn, dict):
                problems.append(Problem("message-not-object", path, kind_of(turn), "an object with role and content"))
                continue
            role = self._examine_role(turn, path, problems)
            if role is not None:
                roles.append(role)
            _examine_content(turn, f"{path}.content", problems)
            _examine_extras(turn, path, problems)
        if len(roles) == len(messages):  # a wrong role would only cause wrong complaints about their order
            problems += self._examine_order(roles)
        if problems:
            return None, problems
        contents = [turn["content"] for turn in messages]
        fields = {name for turn in messages for name in turn} | {"role", "content"}
        others = tuple(sorted(fields)) if len(fields) > 2 else ()
        return Dialogue(tuple(roles), contents, "\0".join(contents), self._seed(tuple(roles)), others), []

    def _seed(self, roles: tuple[str, ...]) -> int:
        seed = xxhash.xxh3_64_intdigest("|".join(roles).encode())
        if len(self._good_patterns) < _KNOWN_PATTERNS:
            self._good_patterns[roles] = seed
        return seed

    def _examine_role(self, turn: dict[str, Any], path: str, problems: list[Problem]) -> str | None:
        if "role" not in turn:
            found = "from, as ShareGPT writes" if "from" in turn else f"fields {_names(turn)}"
            problems.append(Problem("role-missing", path, found, "role"))
            return None
        role, path = turn["role"], f"{path}.role"
        if not isinstance(role, str):
            problems.append(Problem("role-not-text", path, kind_of(role), "user or assistant"))
        elif role == "system" and self._policy.system_turns == "reject":
            problems.append(Problem("system-rejected", path, shown(role), "user or assistant"))
        elif role in self._known:
            return role
        elif role == "system":
            problems.append(Problem("system-dropped", path, shown(role), "user or assistant"))
        elif role.strip().lower() in _TOOL_ROLES:
            problems.append(Problem("role-tool", path, shown(role), " or ".join(self._policy.roles)))
        else:
            problems.append(Problem("role-unknown", path, shown(role), _likely_role(role)))
        return None

    def _examine_order(self, roles: list[str]) -> list[Problem]:
        problems = [
            Problem(
                "system-not-first",
                f"messages[{at}].role",
                f"system as turn {at + 1}",
                "system as turn 1 only",
            )
            for at, role in enumerate(roles)
            if role == "system" and at > 0
        ]
        spoken = [(at, role) for at, role in enumerate(roles) if role != "system"]
        if spoken and spoken[0][1] != "user":
            problems.append(Problem("first-not-user", f"messages[{spoken[0][0]}].role", shown(spoken[0][1]), "user"))
        for (before, role), (at, next_role) in pairwise(spoken):
            if role == next_role and at == before + 1 and role not in _TOOL_ROLES:
                expected = "assistant" if role == "user" else "user"
                problems.append(Problem("role-repeated", f"messages[{at}].role", f"{role} again", expected))
            if next_role in _TOOL_ROLES and role == "user":
                path = f"messages[{at}].role"
                problems.append(Problem("tool-misplaced", path, f"{next_role} after {role}", "tool after assistant"))
        if "assistant" not in roles:
            problems.append(Problem("no-assistant", "messages", "no assistant turn", "an answer to learn from"))
        elif roles[-1] == "user" or roles[-1] in _TOOL_ROLES:  # a closing system turn is already system-not-first
            path = f"messages[{len(roles) - 1}].role"
            problems.append(Problem("last-not-assistant", path, shown(roles[-1]), "assistant"))
        return problems


def _examine_content(turn: dict[str, Any], path: str, problems: list[Problem]) -> None:
    if "content" not in turn:
        found = "value, as ShareGPT writes" if "value" in turn else f"fields {_names(turn)}"
        problems.append(Problem("content-missing", path.rpartition(".")[0], found, "content"))
        return
    content = turn["content"]
    if content is None:
        problems.append(Problem("content-null", path, "null", "a text"))
    elif isinstance(content, list):
        types = (part.get("type") for part in content if isinstance(part, dict))
        kinds = {kind for kind in types if isinstance(kind, str)}
        found = f"a list of {len(content)} parts" + (f" ({', '.join(map(shown, sorted(kinds)[:4]))})" if kinds else "")
        problems.append(Problem("content-multimodal", path, found, "a text"))
    elif not isinstance(content, str):
        problems.append(Problem("content-not-text", path, kind_of(content), "a text"))
    elif not content:
        problems.append(Problem("content-empty", path, "a text of 0 characters", "a text"))
    elif not content.strip():
        problems.append(Problem("content-blank", path, f"{len(content)} blank characters", "a text"))
    elif (nul := content.find("\0")) >= 0:
        problems.append(Problem("content-nul", path, f"NUL as character {nul + 1}", "text without NUL"))


def _examine_extras(turn: dict[str, Any], path: str, problems: list[Problem]) -> None:
    for name in ("tool_calls", "function_call"):
        if turn.get(name):
            problems.append(Problem("tool-calls", f"{path}.{name}", kind_of(turn[name]), "none"))
    weight = turn.get("weight")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        found = repr(weight)[:20] if isinstance(weight, int | float) else kind_of(weight)
        problems.append(Problem("weight-invalid", f"{path}.weight", found, "0 or 1"))


def _likely_role(role: str) -> str:
    plain = role.strip().lower()
    likely = _ALIASES.get(plain) or next(iter(difflib.get_close_matches(plain, _ROLES, n=1)), None)
    return f"{likely} (probably)" if likely else "user or assistant"


def _names(value: dict[str, Any]) -> str:
    return ", ".join(shown(str(name)) for name in list(value)[:5]) or "none"
