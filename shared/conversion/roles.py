"""What others call the roles of a dialogue. Conversion renames them; validation says that they have other names."""

from __future__ import annotations

ALIASES = {
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
"""What others call the roles."""
CALL_ROLES = frozenset({"function_call", "tool_call", "tool_calls"})
"""Turns in which the model calls a tool."""
TOOL_ROLES = CALL_ROLES | {
    *("tool", "tool_response", "tool_result", "tool_results", "tool_output", "observation"),
    *("function", "function_response", "function_result", "ipython"),
}
"""Turns of tools, and calls of them."""
EXACT = {role: role for role in ("system", "user", "assistant")} | ALIASES


def role_of(name: str) -> str:
    """The role that a speaker's name means; the name itself where it means none."""
    return EXACT.get(name) or EXACT.get(name[:40].strip().lower(), name)
