"""Every rule: its stable id, how severe breaking it is, why it exists and how to fix it; and a broken one.

The one table behind reports, the command line and docs/validation-rules.md. An id, once published, keeps its meaning.
Nothing that is told of a row ever carries the content of a turn: a found value is a type, a length, or a short bounded
name. An example of each rule is in `scripts/rule_examples.py`, for the page and for a test that runs every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.chatdata.formats import printable

Severity = Literal["error", "warning"]
Scope = Literal["file", "line", "turns", "meaning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An error makes the row (or the snapshot, for scope `file`) bad; a warning only tells."""

    id: str
    scope: Scope
    severity: Severity
    explanation: str
    fix: str


class Problem(NamedTuple):
    """One broken rule in a row. `shift` is where in the line it is (bytes), where that is known.

    `fix` says how to mend it, where more is known than the rule says by itself.
    """

    rule: str
    path: str | None
    found: str
    expected: str
    shift: int = 0
    fix: str = ""


def shown(value: object, limit: int = 40) -> str:
    """Show a name in quotes, with its length if it was cut."""
    text = value if isinstance(value, str) else repr(value)[: 4 * limit]
    kept = f'"{printable(text, limit)}"'
    return kept if len(text) <= limit else f"{kept} ({len(text)} characters)"


def kind_of(value: object) -> str:
    """Name a JSON value by its type and size, never by its content."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return f"a text of {len(value)} character{'' if len(value) == 1 else 's'}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {len(value)} field{'' if len(value) == 1 else 's'}"
    return type(value).__name__


TOO_MANY_BAD = "too-many-bad-rows"

# fmt: off
_TABLE = (
    # About files and the snapshot as a whole.
    Rule("no-files", "file", "error",
         "The snapshot holds no data file.",
         "Put at least one .jsonl, .jsonl.gz or .parquet file into it."),
    Rule("file-extension", "file", "error",
         "Only .jsonl, .jsonl.gz and .parquet are read, written in lower case.",
         "Convert the file, or correct its name."),
    Rule("file-empty", "file", "error",
         "The file holds no row.",
         "Upload the file again, or leave it out."),
    Rule("file-format", "file", "error",
         "The file is in another format than its name says.",
         "Rename the file, or write it in the format of its name; JSONL is one JSON object a line, in UTF-8."),
    Rule("row-format", "file", "error",
         "The rows are in the format of another tool; reading stopped.",
         "Write the rows as messages; `droptune prepare` does so with most formats: docs/bring-your-data.md."),
    Rule("file-unreadable", "file", "error",
         "The gzip or parquet file is damaged or cut off; rows after the damage could not be checked.",
         "Write and upload the file again."),
    Rule("file-expands", "file", "error",
         "The file grows out of proportion when decompressed; reading stopped.",
         "Upload the file less compressed, or look for runaway repetition in it."),
    Rule("too-large", "file", "error",
         "The snapshot has more bytes than allowed; reading stopped.",
         "Drop a smaller sample, or ask the operator to raise the limit."),
    Rule("too-many-rows", "file", "error",
         "The snapshot has more rows than allowed; reading stopped.",
         "Drop a smaller sample, or ask the operator to raise the limit."),
    Rule(TOO_MANY_BAD, "file", "error",
         "So many rows of the file are bad that the rest was not read, nor counted.",
         "Mend what was found in the first rows, most likely one mistake in all of them; `droptune check FILE "
         "--places 0` reads every row."),
    Rule("too-few-rows", "file", "error",
         "Too few good, distinct rows are left to learn from.",
         "Add rows, or repair the bad ones. MIN_ROWS sets how many are needed (--min-rows on the command line); a "
         "snapshot.json may ask for more."),
    Rule("no-train-split", "file", "error",
         "The folder names validation or test files but none to train on.",
         "Add a file named train, such as train.jsonl."),
    Rule("split-unknown", "file", "error",
         "Names of this snapshot tell splits, but this one tells none, or several: it may hold test rows.",
         "Let its name have one of the words train, validation and test, such as train-2.jsonl."),
    Rule("double-extension", "file", "error",
         "The file's name has two data formats; one of them is wrong.",
         "Keep the ending of the format the file is in."),
    Rule("no-train-rows", "file", "error",
         "No row is left to train on: all are held out, or repeated in a held-out file.",
         "Add rows to the training file that are not in the other ones."),
    Rule("too-few-train-rows", "file", "error",
         "Too few rows are left to train on, once the others are held out: the training would fail on its machine.",
         "Add rows to train on, or hold out fewer."),
    Rule("messages-column-missing", "file", "error",
         "The parquet file has no column named messages.",
         "Rename the column of dialogues to messages."),
    Rule("messages-column-type", "file", "error",
         "The column messages is not a list of objects with the texts role and content.",
         "Write it as list<struct<role: string, content: string>>, not as JSON text."),
    Rule("mixed-columns", "file", "warning",
         "Files of the snapshot have different columns; only messages is trained on.",
         "Check that all files come from the same export."),
    # About rows as they are written.
    Rule("invalid-json", "line", "error",
         "The line is not one JSON value; the column is counted in characters from 1.",
         "Write one JSON object per line, with a JSON library."),
    Rule("invalid-utf8", "line", "error",
         "The line holds bytes that are not UTF-8; the offset is that of the first one.",
         "Save the file as UTF-8. One from Windows: iconv -f WINDOWS-1252 -t UTF-8 FILE > ROWS.jsonl."),
    Rule("byte-order-mark", "line", "warning",
         "The line starts with a byte order mark, which was skipped.",
         "Save the file as UTF-8 without signature."),
    Rule("not-a-number", "line", "error",
         "NaN, Infinity and numbers too large for a double (1e400) make other readers refuse the file.",
         "Write null, or leave the field out."),
    Rule("repeated-key", "line", "error",
         "An object has the same key twice; readers silently keep one of the values.",
         "Keep one of them."),
    Rule("lone-surrogate", "line", "error",
         "A text holds half of a surrogate pair, which is not a character.",
         "Escape characters beyond the basic plane as pairs, or write them as UTF-8."),
    Rule("not-an-object", "line", "error",
         "The row is JSON but not an object.",
         'Write {"messages": [...]}; a JSON array of rows has to become one row per line.'),
    Rule("row-too-long", "line", "error",
         "The row is longer than a row may be; it was skipped unread.",
         "Split the dialogue, or check that every row ends with a line feed."),
    Rule("nesting-too-deep", "line", "error",
         "The row is nested deeper than allowed.",
         "Leave out the nested column."),
    # About what a row holds.
    Rule("messages-missing", "turns", "error",
         "The row has no messages.",
         "Put the dialogue into a field named messages."),
    Rule("messages-not-list", "turns", "error",
         "The field messages is not a list.",
         "Write a list of objects with role and content."),
    Rule("messages-empty", "turns", "error",
         "The dialogue has no turn.",
         "Leave the row out."),
    Rule("too-many-messages", "turns", "error",
         "The dialogue has more turns than allowed.",
         "Split the dialogue."),
    Rule("message-not-object", "turns", "error",
         "A turn is not an object.",
         'Write {"role": ..., "content": ...}.'),
    Rule("role-missing", "turns", "error",
         "A turn has no role.",
         "Name who speaks: user or assistant."),
    Rule("role-not-text", "turns", "error",
         "A role is not a text.",
         "Write user or assistant as text."),
    Rule("role-unknown", "turns", "error",
         "The model's template does not know the role and would drop the turn without a word.",
         "Use user and assistant (and system where allowed), in lower case."),
    Rule("role-tool", "turns", "error",
         "The model's template has no tool or function turns and would drop them without a word.",
         "Leave tool dialogues out, or put what the tool said into a user turn."),
    Rule("tool-misplaced", "turns", "error",
         "A tool turn comes right after a user turn, though only an assistant calls tools.",
         "Put the assistant turn that asks for it before it."),
    Rule("tool-calls", "turns", "error",
         "A turn calls a tool in a field of its own, which is not trained on; the rest would teach half a call.",
         "Leave tool dialogues out, or write the call into the content, where the model's template knows tool "
         "turns."),
    Rule("system-rejected", "turns", "error",
         "The model's template has no system turn, and the policy says to refuse them.",
         "Move the text into the first user turn, or set the policy to fold."),
    Rule("system-dropped", "turns", "error",
         "The pinned model's template has no system turn: it would drop the turn without a word, or stop the "
         "training.",
         "Set SYSTEM_TURNS to fold, or move the text into the first user turn."),
    Rule("system-not-first", "turns", "error",
         "A system turn comes after another turn.",
         "Keep one system turn, at the start."),
    Rule("first-not-user", "turns", "error",
         "The dialogue does not start with the user (after an optional system turn).",
         "Drop the leading assistant turn."),
    Rule("role-repeated", "turns", "error",
         "The same role speaks twice in a row; most templates refuse or garble that.",
         "Join the two turns."),
    Rule("last-not-assistant", "turns", "error",
         "The dialogue does not end with an answer, so its end teaches nothing.",
         "Drop the last turn, or add the answer."),
    Rule("no-assistant", "turns", "error",
         "Nothing in the dialogue is an answer to learn from.",
         "Add the answer, or leave the row out."),
    Rule("content-missing", "turns", "error",
         "A turn has no content.",
         "Add the text, or drop the turn."),
    Rule("content-null", "turns", "error",
         "A turn's content is null.",
         "Add the text, or drop the turn."),
    Rule("content-multimodal", "turns", "error",
         "A turn's content is a list of parts (text, image, audio); this model reads text only.",
         "Write the text parts as one text, and leave dialogues about images out."),
    Rule("content-not-text", "turns", "error",
         "A turn's content is not a text.",
         "Write the content as text."),
    Rule("content-empty", "turns", "error",
         "A turn's content is empty.",
         "Add the text, or drop the turn."),
    Rule("content-blank", "turns", "error",
         "A turn's content is only white space, or characters that nobody can see.",
         "Add the text, or drop the turn."),
    Rule("content-nul", "turns", "error",
         "A turn holds the character NUL, at which many programs stop reading.",
         "Remove it; it mostly comes from a broken export."),
    Rule("weight-invalid", "turns", "error",
         "A turn's weight is neither 0 nor 1.",
         "Write 0 or 1, or leave weights out: this trainer learns from every answer."),
    Rule("weight-zero", "turns", "warning",
         "An answer has weight 0, so that nobody learns from it; this trainer knows no weights and learns from it.",
         "Drop the answer with the turn it answers, or accept that it is learned from."),
    Rule("no-weighted-answer", "turns", "error",
         "Every answer of the dialogue has weight 0: nothing in it is meant to be learned, and this trainer would.",
         "Leave the row out."),
    # About what good rows say: warnings, which refuse nothing.
    Rule("duplicate-row", "meaning", "warning",
         "The row repeats the dialogue of an earlier one; it is kept once.",
         "Remove the repetition, unless it is meant."),
    Rule("leaked-row", "meaning", "warning",
         "The dialogue is also in a held-out file; it is not trained on, so that it can be tested fairly.",
         "Keep each dialogue in one split."),
    Rule("prompt-differs", "meaning", "warning",
         "The field prompt is not the first user turn; only messages is trained on.",
         "Check which of the two is right."),
    Rule("prompt-id-repeated", "meaning", "warning",
         "Two different dialogues have the same prompt_id.",
         "Check the export: one of them may be a leftover."),
    Rule("longer-than-context", "meaning", "warning",
         "By estimate the dialogue has more tokens than the model sees; the trainer cuts its end off.",
         "Split or shorten the dialogue."),
    Rule("template-marker", "meaning", "warning",
         "A turn holds a marker of a chat template, which the model may take for the end of a turn.",
         "Remove the marker; the trainer adds its own."),
    Rule("control-character", "meaning", "warning",
         "A turn holds control characters that nobody can see.",
         "Remove them."),
    Rule("likely-secret", "meaning", "warning",
         "A turn holds what looks like a key, token or password; a model can repeat it to anybody.",
         "Remove it from the data, and revoke it."),
    Rule("repetitive-answer", "meaning", "warning",
         "An answer ends in a loop of the same words, and teaches the model to do so.",
         "Cut the repetition, or leave the row out."),
    Rule("identical-answers", "meaning", "warning",
         "All rows end with the same answer, so the model will learn to say just that.",
         "Check the export: the answers may come from a default value."),
)
# fmt: on
RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}
