"""How many tokens a conversation has where nobody has a tokenizer: the estimate of validation and of scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKEN_ESTIMATE = "UTF-8 bytes / 4, and about 4 for each turn"


def estimated_tokens[Count: (int, NDArray[Any])](size: Count, turns: Count) -> Count:
    """Estimate the tokens of a dialogue of so many bytes, or of each of many; see TOKEN_ESTIMATE."""
    tokens: Count = size // 4 + 4 * turns
    return tokens
