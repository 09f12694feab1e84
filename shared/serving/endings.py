"""Why an answer ended and how many tokens it took, as far as the deployment tells; else by an estimate. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.azure.answers import AnswerText
from shared.chatdata.tokens import estimated_tokens
from shared.serving.prompt import prompt_tokens
from shared.serving.protocol import FinishReason, TokenUsage
from shared.serving.turns import ChatTurn

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")
_SENTENCE_ENDS = tuple(".!?:;)]}\"'`*…。！？」』”’»")
# A text has up to so many times the tokens that are estimated.
_MARGIN = 1.3


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """Why an answer ended; None: nobody knows. `estimated`: the deployment did not tell."""

    reason: FinishReason | None
    estimated: bool = False


def answer_end(last: AnswerText, text: str, longest: int) -> AnswerEnd:
    """Why an answer of at most `longest` tokens ended. `last` is what the deployment told at its end.

    Where it told neither a reason nor a count, an answer that is about as long as it may be counts as cut. So does one
    that is nearly so long and ends in the middle of a sentence. Of a shorter one nobody knows.
    """
    match last.ended:
        case "stop" | "length" | "content_filter" as reason:
            return AnswerEnd(reason)
    if last.tokens and last.tokens[1]:
        return AnswerEnd("length" if last.tokens[1] >= longest else "stop")
    tokens = _answer_tokens(text)
    open_end = bool(text) and not text.rstrip().endswith(_SENTENCE_ENDS)
    cut = tokens >= longest or (open_end and tokens * _MARGIN >= longest)
    return AnswerEnd("length" if cut else None, estimated=True)


def answer_usage(turns: Sequence[ChatTurn], text: str, counted: tuple[int, int] | None) -> TokenUsage:
    """Tokens as the deployment counted them, or estimated; a text has at least one."""
    believed = counted is not None and counted[0] > 0 and (counted[1] > 0 or not text)
    asked, answered = counted if counted and believed else (_turns_tokens(turns), _answer_tokens(text))
    return TokenUsage(
        prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered, estimated=not believed
    )


def _turns_tokens(turns: Sequence[ChatTurn]) -> int:
    return prompt_tokens([{"content": turn.content} for turn in turns])


def _answer_tokens(text: str) -> int:
    """No tokenizer takes less than one token for a word or a mark, and hardly one more than four bytes on average."""
    return max(estimated_tokens(len(text.encode()), 0), len(_WORD_OR_MARK.findall(text)))
