"""Rows of which no dialogue can be made by themselves: what they are, and what they lack. Asked before any shape."""

from __future__ import annotations

from typing import NamedTuple

from shared.conversion.values import Fields


class ForeignRows(NamedTuple):
    """What rows are, and what has to be done to make dialogues of them."""

    found: str
    fix: str


def foreign_rows(fields: Fields) -> ForeignRows | None:
    """What the rows with these columns are, if they are known not to be dialogues."""
    names = fields.names.keys()
    if names >= {"custom_id", "body"}:
        fix = "A batch of requests holds no answers: put each request's body.messages together with its answer."
        return ForeignRows("requests of a batch, without their answers", fix)
    if names >= {"custom_id", "response"} or names >= {"choices"}:
        fix = "An answer alone is no dialogue: put the messages that were asked before choices[0].message."
        return ForeignRows("answers of a service, without their questions", fix)
    if names == {"error"}:
        fix = "The download failed: its error was saved instead. Download it again."
        return ForeignRows("an error of a service", fix)
    if names >= {"input_ids"}:
        return ForeignRows("tokens", "The rows are tokenized already: drop the dialogues that they were made of.")
    if names >= {"message_id", "parent_id"}:
        fix = (
            "The rows are single messages of a tree, as OASST writes: follow each parent_id from an answer to the "
            "first message, and write those as one row (prompter: user)."
        )
        return ForeignRows("one message a row, as OASST writes", fix)
    return None


PLAIN_TEXT = ForeignRows(
    "text",
    "The rows are plain text, in no chat template that is known: cut each dialogue into its turns, and write them as "
    "messages with role and content.",
)
