"""How many tokens a conversation has where nobody has a tokenizer: the estimate of validation and of scoring."""

from __future__ import annotations

TOKEN_ESTIMATE = "UTF-8 bytes / 4, and about 4 for each turn"


def estimated_tokens(size: int, turns: int) -> int:
    """Estimate the tokens of a dialogue of so many bytes; see TOKEN_ESTIMATE."""
    return size // 4 + 4 * turns
