"""Which shapes some rows may be in: all that fit, so that nothing is guessed where several do.

`SHAPES` is the table of shapes, and the page docs/bring-your-data.md is made of it. Structured shapes come before a
text in some template, since such a text often says the same again in another column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.conversion import lists, records
from shared.conversion.marked_text import TEXT_TEMPLATES
from shared.conversion.values import Fields, Reading, Row, Turns, UnknownColumn


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape that rows come in: how it is found, how a row becomes turns, and what people are told of it."""

    name: str
    title: str
    example: str
    """A row, as JSON."""
    becomes: str
    """How a row becomes messages, in one sentence; it stands in refusals."""
    also: str
    """What else is read so."""
    find: Callable[[Fields], Iterator[Reading]]
    turns: Callable[[Row, Reading], Turns]
    only_if_asked: bool = False
    """It is trained on only when somebody names it: what is learned from it is a choice."""


_ALL = (
    Shape(
        "messages",
        "messages",
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}',
        "The turns stay as they are, under the name messages, with role and content.",
        "The list may have another name (`conversation`, `turns`, ...), role and content too (`speaker`, `author`, "
        "`text`, ...), and it may be written as JSON in a text, or by column.",
        lists.find_turn_lists,
        lists.turns_of_list,
    ),
    Shape(
        "sharegpt",
        "ShareGPT",
        '{"system": "Be brief.", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": '
        '"Hello."}]}',
        "`conversations` becomes messages, `from` becomes role (human: user, gpt: assistant) and `value` content.",
        "A column `system` becomes the first turn. Dialogues with calls of tools are left out, unless `--keep-tools`.",
        lambda _: iter(()),  # found with the other lists of turns
        lists.turns_of_list,
    ),
    Shape(
        "alpaca",
        "Alpaca",
        '{"instruction": "Translate.", "input": "Hallo", "output": "Hello", "system": "", "history": []}',
        "`instruction`, with `input` after an empty line where there is one, becomes the user turn of messages, and "
        "`output` the assistant turn.",
        "`system` comes first, then the turns of `history`. Dolly's `context` and `response` are read so, too.",
        records.find_alpaca,
        records.turns_of_alpaca,
    ),
    Shape(
        "prompt-completion",
        "prompt and completion",
        '{"prompt": "Hi", "completion": "Hello."}',
        "`prompt` becomes the user turn of messages, and `completion` the assistant turn.",
        "Each may be a list of turns, and a prompt may be written with Human: and Assistant:.",
        records.find_pairs,
        records.turns_of_pair,
    ),
    Shape(
        "question-answer",
        "a question and its answer",
        '{"question": "Hi", "answer": "Hello."}',
        "The question becomes the user turn of messages, and the answer, of several the first, the assistant turn.",
        "`--user`, `--assistant` and `--system` name columns that have other names; several with commas between are "
        "put one after the other.",
        lambda _: iter(()),  # found with prompts and completions
        records.turns_of_pair,
    ),
    Shape(
        "exchanges",
        "a list of questions with their answers",
        '{"conversation": [{"system": "Be brief.", "input": "Hi", "output": "Hello."}]}',
        "Each `input` becomes a user turn of messages, and each `output` an assistant turn.",
        "Also `human` and `assistant`, `question` and `answer` and the like, and lists of two texts each.",
        lists.find_exchanges,
        lists.turns_of_exchanges,
    ),
    Shape(
        "texts",
        "texts that take turns",
        '{"data": ["Hi", "Hello."]}',
        "The first text becomes a user turn of messages, the second an assistant turn, and so on.",
        "Under `data`, `dialog`, `conversation` and the like.",
        lists.find_texts,
        lists.turns_of_texts,
    ),
    Shape(
        "gemini",
        "Gemini's contents with parts",
        '{"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Hello."}]}]}',
        "`contents` becomes messages, and the texts of its `parts` content.",
        "`systemInstruction` becomes the first turn.",
        lists.find_contents,
        lists.turns_of_contents,
    ),
    Shape(
        "chatgpt",
        "ChatGPT's export",
        '{"current_node": "b", "mapping": {"a": {"parent": null, "message": {"author": {"role": "user"}, '
        '"content": {"parts": ["Hi"]}}}, "b": {"parent": "a", "message": {"author": {"role": "assistant"}, "content": '
        '{"parts": ["Hello."]}}}}}',
        "The messages on the way to `current_node` become messages.",
        "Turns without text, of the system and of tools, are passed over, as they are when ChatGPT shows a chat.",
        lists.find_trees,
        lists.turns_of_tree,
    ),
    Shape(
        "text",
        "text in a chat template",
        '{"text": "<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\nHello.<|im_end|>\\n"}',
        "The text is cut at the marks of its template into the turns of messages.",
        f"The templates are {', '.join(template.name for template in TEXT_TEMPLATES)}. What stands before the first "
        "mark becomes the system turn.",
        records.find_marked_text,
        records.turns_of_marked_text,
    ),
    Shape(
        "preference",
        "preferences",
        '{"prompt": "Hi", "chosen": "Hello.", "rejected": "What?"}',
        "`prompt` and `chosen` become messages; `rejected` is not trained on.",
        "Only with `--shape preference`. Also `preferred_output`, and answers with a `label` of true or false, of "
        "which the false ones are left out.",
        records.find_preferences,
        records.turns_of_preference,
        only_if_asked=True,
    ),
)
SHAPES = {shape.name: shape for shape in _ALL}


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What somebody said of the rows: their shape, and the columns of question, answer, system turn and turns."""

    shape: str = ""
    user: tuple[str, ...] = ()
    assistant: str = ""
    system: str = ""
    turns: str = ""


def recognise(rows: Iterable[Row], choice: ColumnChoice | None = None) -> list[Reading]:
    """Every reading that fits these rows and what somebody said of them; more than one is for a person to decide.

    Raises UnknownColumn for a column that is not there.
    """
    return recognise_fields(Fields([row for row in rows if isinstance(row, dict)]), choice)


def recognise_fields(fields: Fields, choice: ColumnChoice | None = None) -> list[Reading]:
    """As `recognise`, of rows that were looked at already."""
    wanted = choice or ColumnChoice()
    for name in (*wanted.user, wanted.assistant, wanted.system, wanted.turns):
        if name and name not in fields.names.values():
            raise UnknownColumn(name, fields.names.values())
    if wanted.user and wanted.assistant:
        columns = {"user": wanted.user, "answer": (wanted.assistant,)}
        return [_with_system(Reading("question-answer", columns), wanted.system)]
    found = [_with_system(one, wanted.system) for one in _readings(fields, wanted.shape)]
    if wanted.shape:
        found = [one for one in found if one.shape == wanted.shape]
    if wanted.turns:
        found = [one for one in found if wanted.turns in (one.column("turns"), one.column("text"))]
    return found


def _with_system(reading: Reading, system: str) -> Reading:
    if not system:
        return reading
    return Reading(reading.shape, {**reading.columns, "system": (system,)}, reading.template)


def _readings(fields: Fields, shape: str) -> list[Reading]:
    """All readings. Who named a shape is given it also where another is plainer."""
    if shape in SHAPES and shape not in ("sharegpt", "question-answer"):
        found = list(SHAPES[shape].find(fields))
        if found:
            return found
    turn_lists = list(lists.find_turn_lists(fields))
    if any(reading.column("turns") == "messages" for reading in turn_lists):
        return turn_lists
    preferences = list(records.find_preferences(fields))
    if preferences:
        return [*preferences, *(one for one in turn_lists if one.column("turns") not in preferences[0].used)]
    alpaca = list(records.find_alpaca(fields))
    taken = {name for reading in alpaca for name in reading.used}
    pairs = [reading for reading in records.find_pairs(fields) if not taken.intersection(reading.used)]
    found = [*turn_lists, *alpaca, *pairs]
    for find in (lists.find_exchanges, lists.find_texts, lists.find_contents, lists.find_trees):
        found += find(fields)
    return found or list(records.find_marked_text(fields))


def undecided_context(reading: Reading, rows: Sequence[Row]) -> str:
    """A column with a text that a question may be about, where nobody said whether it belongs to the question."""
    if reading.shape != "question-answer" or len(reading.columns.get("user", ())) != 1:
        return ""
    fields = Fields([row for row in rows if isinstance(row, dict)])
    found = fields.first(records.CONTEXTS)
    is_text = bool(found) and isinstance(fields.values[found], str)
    return fields.names[found] if is_text and fields.names[found] not in reading.used else ""
