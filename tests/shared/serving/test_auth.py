"""Who may ask: whoever has one of the keys, in any of the places where clients put one."""

from __future__ import annotations

import pytest

from shared.serving.auth import ScoringKeys
from shared.serving.protocol import ApiError

KEYS = ("the-first-key-of-two", "the-second-key-of-two")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer {}"}, {}),
        ({"authorization": "bearer  {} "}, {}),
        ({"x-functions-key": "{}"}, {}),
        ({}, {"code": "{}"}),
        ({"authorization": "Bearer unused", "x-functions-key": "{}"}, {}),
        ({"authorization": "Basic unused"}, {"code": "{}"}),
    ],
)
def test_a_key_opens_wherever_a_client_puts_it(key: str, headers: dict[str, str], query: dict[str, str]) -> None:
    filled = [{name: value.format(key) for name, value in found.items()} for found in (headers, query)]
    ScoringKeys(KEYS).check(*filled)


@pytest.mark.parametrize(
    ("keys", "headers", "said"),
    [
        (KEYS, {}, "a key is missing"),
        (KEYS, {"authorization": "Bearer"}, "a key is missing"),
        (KEYS, {"authorization": f"Basic {KEYS[0]}"}, "a key is missing"),
        (KEYS, {"authorization": f"Bearer {KEYS[0]}x"}, "not one of SCORING_KEYS"),
        (KEYS, {"x-functions-key": KEYS[0][:-1]}, "not one of SCORING_KEYS"),
        (KEYS, {"x-functions-key": "kéy"}, "not one of SCORING_KEYS"),
        ((), {"x-functions-key": ""}, "SCORING_KEYS has no key yet"),
        ((), {"x-functions-key": KEYS[0]}, "SCORING_KEYS has no key yet"),
    ],
)
def test_anything_else_is_401_and_says_what_is_wrong(keys: tuple[str, ...], headers: dict[str, str], said: str) -> None:
    with pytest.raises(ApiError, match=said) as refused:
        ScoringKeys(keys).check(headers, {})
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert not any(key in str(refused.value) for key in KEYS)
