"""Who may ask a model: whoever has one of the keys in `SCORING_KEYS`.

Chat clients send their key as `Authorization: Bearer`, which the platform's own check of function keys does not read,
so the routes that ask are open to the platform and checked here. Keys are held as digests, compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping

from shared.serving.protocol import ApiError


class ScoringKeys:
    """The keys that open the routes that ask."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = [_digest(key) for key in keys]

    def check(self, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
        """Raises Unanswered (401) unless one of the places for a key holds a right one."""
        offered = list(_offered(headers, query))
        # Every pair is compared, so that the time tells nothing of which key was close.
        fits = [hmac.compare_digest(_digest(key), known) for key in offered for known in self._digests]
        if any(fits):
            return
        if not self._digests:
            text = "nobody can ask: the setting SCORING_KEYS has no key yet; whoever runs the app puts one there"
            raise ApiError(401, "invalid_api_key", text)
        what = "this key is not one of SCORING_KEYS" if offered else "a key is missing"
        places = "as Authorization: Bearer, x-functions-key or ?code="
        raise ApiError(401, "invalid_api_key", f"{what}: send one {places}; whoever runs the app has them")


def _offered(headers: Mapping[str, str], query: Mapping[str, str]) -> Iterator[str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = (headers.get("x-functions-key"), token.strip() if scheme.lower() == "bearer" else "", query.get("code"))
    yield from (key for key in found if key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
