"""Why an answer ended and how many tokens it took, as far as the deployment tells; else by an estimate. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.azure.answers import AnswerText
from shared.chatdata.tokens import estimated_tokens
from shared.serving.prompt import prompt_tokens
from shared.serving.protocol import FinishReason, TokenUsage
from shared.serving.requests import ChatTurn

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")
_SENTENCE_ENDS = tuple(".!?:;)]}\"'`*…。！？」』”’»")
# A text has up to so many times the tokens that are estimated.
_MARGIN = 1.3


def finish_reason(last: AnswerText, text: str, longest: int) -> FinishReason:
    """Why an answer ended, of at most `longest` tokens. `last`: what the deployment told at its end.

    Where it told neither a reason nor a count, an answer that is about as long as it may be counts as cut. So does one
    that is nearly so long and ends in the middle of a sentence.
    """
    match last.ended:
        case "stop" | "length" | "content_filter" as reason:
            return reason
    if last.tokens and last.tokens[1]:
        return "length" if last.tokens[1] >= longest else "stop"
    tokens = _answer_tokens(text)
    open_end = bool(text) and not text.rstrip().endswith(_SENTENCE_ENDS)
    return "length" if tokens >= longest or (open_end and tokens * _MARGIN >= longest) else "stop"


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
