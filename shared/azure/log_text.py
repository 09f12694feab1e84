"""The text of logs that Azure keeps of jobs and containers: secrets blotted out, and its end for a reason.

Called by the steps that keep the log of what failed. A serving image writes its whole environment into its log, and a
training script the addresses that it downloads from: whatever looks like a secret goes before anything is kept.
Cleaning a clean text changes nothing.
"""

from __future__ import annotations

import re

from shared.chatdata.formats import printable

_LINES_QUOTED = 4
_CHARACTERS_QUOTED = 600
_LONGEST_LINE = 2000
_BLOTTED = "***"
# Each is tried on one line of bounded length; what follows the name, up to the next blank, is the secret.
_SECRETS = (
    re.compile(r"(\benv: ?\w{1,80} ?= ?)(.*)"),
    re.compile(r"(?i)(\bauthorization[\"']? ?[:=] ?)(.*)"),
    re.compile(r"(?i)(\b(?:bearer|basic) )([\w.~+/=-]{8,})"),
    re.compile(
        r"(?i)((?:key|token|secret|password|passwd|pwd|credential|signature|connection_?string|sas)\w{0,20}"
        r"[\"']? ?[:=] ?[\"']?)([^\s\"',;&]+)"
    ),
    re.compile(r"(?i)([?&](?:sig|code|se|sv)=)([^&\s\"']+)"),
    re.compile(r"(\beyJ)([\w-]{10,}[\w.-]*)"),
)


def without_secrets(text: str) -> str:
    """The text with everything blotted out that looks like a secret, and its lines cut to a bounded length."""
    return "\n".join(_blotted(line[:_LONGEST_LINE]) for line in text.splitlines())


def end(text: str) -> str:
    """The last lines that say something, as one line of bounded length without control characters, to be quoted."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(" / ".join(lines[-_LINES_QUOTED:])[-_CHARACTERS_QUOTED:], _CHARACTERS_QUOTED)


def _blotted(line: str) -> str:
    for secret in _SECRETS:
        line = secret.sub(rf"\1{_BLOTTED}", line)
    return line
