"""The rules about a row's dialogue, on plain Python values: the same for every file format.

`glance` answers fast for many rows that are all plainly good, and for nothing else; `examine` is complete and
decides about all others. A row that `glance` passes has no problem under `examine`: a property test holds
them together.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import accumulate, islice, pairwise
from typing import Any

import xxhash

from shared.conversion.roles import ALIASES, TOOL_ROLES
from shared.validation import scan
from shared.validation.dialogues import Dialogue, DialogueBatch
from shared.validation.policy import Policy
from shared.validation.row_shapes import (
    PARTS_FIX,
    ROLES_FIX,
    RowShape,
    list_shape,
    messages_shape,
    row_shape,
    turn_shape,
)
from shared.validation.rules import Problem, kind_of, shown

_ROLES = ("system", "user", "assistant")
_KNOWN_PATTERNS = 10_000
_MOST_NAMES = 100
"""Of so many fields the nearest name is looked for: a row may have a million."""
_MOST_LETTERS = 40
INVISIBLE = "".join(
    map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x1680, 0x17B4, 0x17B5,
              *range(0x180B, 0x1810), *range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2070), 0x2800,
              0x3000, 0x3164, *range(0xFE00, 0xFE10), 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080)))
)  # fmt: skip
"""White space, and what takes part in no visible text by itself: joiners, marks of direction, fillers, blanks."""


class TurnChecker:
    """Checks dialogues under one policy. Remembers role sequences already found good."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known = frozenset(policy.roles) | ({"system"} if policy.system_turns == "fold" else frozenset())
        self._good_patterns: dict[tuple[str, ...], int] = {}

    def glance(
        self, roles: list[Any], contents: list[Any], counts: Sequence[int], lines: bytes | None = None
    ) -> DialogueBatch | None:
        """Return dialogues if all are plainly good; None says nothing.

        Roles and contents are those of all turns; the first `counts[0]` of them make the first dialogue, and so on.
        `lines`: valid JSON that they were read from, if each of their ASCII characters, but for quotes, slashes and
        white space, is there as it is.
        """
        good = self._good_patterns
        spans = list(pairwise(accumulate(counts, initial=0)))
        try:
            # strip leaves a text empty if it is empty or blank
            if not all(map(str.strip, contents)):
                return None
            if not all(content.strip(INVISIBLE) for content in contents if not content.isascii()):
                return None
            patterns = [tuple(roles[start:end]) for start, end in spans]
            seeds = [good[pattern] for pattern in patterns]
        except (TypeError, KeyError):
            return None
        parted = [contents[start:end] for start, end in spans]
        texts = list(map("\0".join, parted))
        found = DialogueBatch(patterns, parted, texts, seeds, list(map(str.encode, texts)), lines)
        if lines is None and scan.count(found.whole, 0) > len(contents) - 1:
            return None
        return found

    def seed_of(self, roles: tuple[str | None, ...]) -> int | None:
        """The seed of the hash of dialogues with these roles; None unless the sequence was found good before."""
        return self._good_patterns.get(roles)  # type: ignore[arg-type]

    def examine(self, row: Any) -> tuple[Dialogue | None, list[Problem]]:
        """Return the row's dialogue with warnings, or every problem of the row if one of them is an error.

        What the row is as a whole is said alone: another format, or a dialogue with tools.
        """
        if not isinstance(row, dict):
            return None, [_shaped("not-an-object", None, kind_of(row), 'an object with "messages"', list_shape(row))]
        if "messages" not in row:
            return None, [_without_messages(row)]
        messages = row["messages"]
        if not isinstance(messages, list):
            shape = messages_shape(messages)
            return None, [_shaped("messages-not-list", "messages", kind_of(messages), "a list of turns", shape)]
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
            if ("role" not in turn or "content" not in turn) and (shape := turn_shape(turn)) is not None:
                rule = "content-missing" if "role" in turn else "role-missing"
                problems.append(_shaped(rule, path, "", "role and content", shape))
                continue
            role = self._examine_role(turn, path, problems)
            if role is not None:
                roles.append(role)
            _examine_content(turn, f"{path}.content", problems)
            _examine_extras(turn, path, problems)
        for rule in ("role-tool", "tool-calls"):  # a dialogue with tools has contents of null, other orders ...
            if tools := [problem for problem in problems if problem.rule == rule]:
                return None, tools
        if len(roles) == len(messages):  # a wrong role would only cause wrong complaints about their order
            problems += self._examine_order(roles)
        if problems:
            return None, problems
        weights = _examine_weights(messages)
        if any(problem.rule == "no-weighted-answer" for problem in weights):
            return None, weights
        return self._dialogue(messages, tuple(roles)), weights

    def _dialogue(self, messages: list[Any], roles: tuple[str, ...]) -> Dialogue:
        contents = [turn["content"] for turn in messages]
        fields = {name for turn in messages for name in turn} | {"role", "content"}
        others = tuple(sorted(fields)) if len(fields) > 2 else ()
        return Dialogue(roles, contents, "\0".join(contents), self._seed(roles), others)

    def _seed(self, roles: tuple[str, ...]) -> int:
        seed = xxhash.xxh3_64_intdigest("|".join(roles).encode())
        if len(self._good_patterns) < _KNOWN_PATTERNS:
            self._good_patterns[roles] = seed
        return seed

    def _examine_role(self, turn: dict[str, Any], path: str, problems: list[Problem]) -> str | None:
        if "role" not in turn:
            problems.append(Problem("role-missing", path, f"fields {_names(turn)}", "role"))
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
        elif role[:_MOST_LETTERS].strip().lower() in TOOL_ROLES:
            problems.append(Problem("role-tool", path, shown(role), " or ".join(self._policy.roles)))
        else:
            likely = _likely_role(role)
            fix = ROLES_FIX if likely else ""
            expected = f"{likely} (probably)" if likely else "user or assistant"
            problems.append(Problem("role-unknown", path, shown(role), expected, fix=fix))
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
            if role == next_role and at == before + 1 and role not in TOOL_ROLES:
                expected = "assistant" if role == "user" else "user"
                problems.append(Problem("role-repeated", f"messages[{at}].role", f"{role} again", expected))
            if next_role in TOOL_ROLES and role == "user":
                path = f"messages[{at}].role"
                problems.append(Problem("tool-misplaced", path, f"{next_role} after {role}", "tool after assistant"))
        if "assistant" not in roles:
            problems.append(Problem("no-assistant", "messages", "no assistant turn", "an answer to learn from"))
        elif roles[-1] == "user" or roles[-1] in TOOL_ROLES:  # a closing system turn is already system-not-first
            path = f"messages[{len(roles) - 1}].role"
            problems.append(Problem("last-not-assistant", path, shown(roles[-1]), "assistant"))
        return problems


def _examine_content(turn: dict[str, Any], path: str, problems: list[Problem]) -> None:
    if "content" not in turn:
        problems.append(Problem("content-missing", path.rpartition(".")[0], f"fields {_names(turn)}", "content"))
        return
    content = turn["content"]
    if content is None:
        problems.append(Problem("content-null", path, "null", "a text"))
    elif isinstance(content, list):
        types = (part.get("type") for part in content if isinstance(part, dict))
        kinds = {kind for kind in types if isinstance(kind, str)}
        found = f"a list of {len(content)} part{'' if len(content) == 1 else 's'}" + (
            f" ({', '.join(map(shown, sorted(kinds)[:4]))})" if kinds else ""
        )
        all_text = all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content) and content
        problems.append(Problem("content-multimodal", path, found, "a text", fix=PARTS_FIX if all_text else ""))
    elif not isinstance(content, str):
        problems.append(Problem("content-not-text", path, kind_of(content), "a text"))
    elif not content:
        problems.append(Problem("content-empty", path, "a text of 0 characters", "a text"))
    elif not content.strip(INVISIBLE):
        count = f"{len(content)} blank or invisible character{'' if len(content) == 1 else 's'}"
        problems.append(Problem("content-blank", path, count, "a text"))
    elif (nul := content.find("\0")) >= 0:
        problems.append(Problem("content-nul", path, f"NUL as character {nul + 1}", "text without NUL"))


def _examine_extras(turn: dict[str, Any], path: str, problems: list[Problem]) -> None:
    for name in ("tool_calls", "function_call"):
        if _says_something(turn.get(name)):
            problems.append(Problem("tool-calls", f"{path}.{name}", kind_of(turn[name]), "none"))
    weight = turn.get("weight")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        found = f"{weight:.6g}" if isinstance(weight, float) else _number(weight)
        problems.append(Problem("weight-invalid", f"{path}.weight", found, "0 or 1"))


def _says_something(value: Any) -> bool:
    """Whether a field is more than a form left empty: parquet writes an object of nulls where there is none."""
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    if isinstance(value, list):
        return any(map(_says_something, value))
    return bool(value)


def _examine_weights(messages: list[dict[str, Any]]) -> list[Problem]:
    """What weights of 0 mean to a trainer that knows none."""
    answers = [at for at, turn in enumerate(messages) if turn["role"] == "assistant"]
    unweighted = [at for at in answers if messages[at].get("weight") == 0]
    if not unweighted:
        return []
    if len(unweighted) == len(answers):
        return [Problem("no-weighted-answer", "messages", "weight 0 on every answer", "an answer to learn from")]
    expected = "weight 1, or no weight"
    return [Problem("weight-zero", f"messages[{at}].weight", "weight 0 on an answer", expected) for at in unweighted]


def _without_messages(row: dict[str, Any]) -> Problem:
    if shape := row_shape(row):
        return Problem("messages-missing", None, shape.found, "messages", fix=shape.fix)
    names = [str(name)[:_MOST_LETTERS] for name in islice(row, _MOST_NAMES)]
    near = difflib.get_close_matches("messages", names, n=1, cutoff=0.6)
    found = f"no messages, but {shown(near[0])}" if near else f"fields {_names(row)}"
    return Problem("messages-missing", None, found, "messages")


def _shaped(rule: str, path: str | None, found: str, expected: str, shape: RowShape | None) -> Problem:
    """A problem, with what the shape says of it where one is known."""
    return Problem(rule, path, shape.found if shape else found, expected, fix=shape.fix if shape else "")


def _likely_role(role: str) -> str | None:
    plain = role[:_MOST_LETTERS].strip().lower()
    return ALIASES.get(plain) or next(iter(difflib.get_close_matches(plain, _ROLES, n=1)), None)


def _number(value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number and abs(value) < 10**15 else kind_of(value)


def _names(value: dict[str, Any]) -> str:
    return ", ".join(shown(str(name)) for name in islice(value, 5)) or "none"
