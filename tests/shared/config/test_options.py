"""`snapshot.json`: whoever may upload chooses every character of it, and none may do harm or end without a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.config.options import parsed
from shared.errors import BadSnapshot

PATH = "support-bot/one/snapshot.json"


def _refused(options: bytes | dict[str, Any]) -> str:
    data = options if isinstance(options, bytes) else json.dumps(options).encode()
    with pytest.raises(BadSnapshot) as refused:
        parsed(data, PATH)
    text = str(refused.value)
    assert text.startswith(f"{PATH}: ")
    assert text.isprintable()
    assert len(text) < 600
    return text


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"note": "\ud83d"}, "note"),
        ({"note": "all good\udc00"}, "note"),
        ({"base_model": "Phi-4\ud83d"}, "base_model"),
        ({"base_model_version": "\ud83d"}, "base_model_version"),
        ({"hyperparameters": {"optim": "\ud83d"}}, "hyperparameters.optim"),
        ({"hyperparameters": {"\ud83d": 1}}, "hyperparameters.\N{REPLACEMENT CHARACTER}"),
        ({"validation": {"system_turns": "\ud83d"}}, "validation.system_turns"),
        ({"\ud83d": 1}, "\N{REPLACEMENT CHARACTER}"),
        ({"note": [{"deep": ["\ud83d"]}]}, "note.deep"),
    ],
)
def test_half_a_surrogate_pair_is_named_wherever_it_stands(options: dict[str, Any], where: str) -> None:
    assert f": {where}: half of a surrogate pair" in _refused(options)


@pytest.mark.parametrize(
    "text",
    ["..", ".", "", " ", "a/b", "../../x", "a\\b", "a?b", "a#b", "a%2eb", "%2e%2e", "a\nb", "a\r\nb", "a b", "a:1",
     "a@b", "ünï", "-a", "_a", ".a", "a" * 101, "a\u202eb", "a\0b", "azureml://registries/x/models/y/versions/1", "a;b",
     "a&b"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["base_model", "base_model_version"])
def test_a_name_that_could_lead_an_address_elsewhere_is_no_name(key: str, text: str) -> None:
    assert f"{key} must be 1 to " in _refused({key: text})


@pytest.mark.parametrize("name", ["Phi-4", "Phi-4-mini-instruct", "Meta-Llama-3.1-8B-Instruct", "gpt_oss.20b", "4"])
def test_names_of_the_registry_are_taken(name: str) -> None:
    options = {"base_model": name, "base_model_version": "12"}
    assert parsed(json.dumps(options).encode(), PATH) == options


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "18446744073709551616", "-9223372036854775809", "9" * 4000, "9" * 5000, "1e300"]
)
@pytest.mark.parametrize("where", ["hyperparameters", "validation"])
def test_a_number_that_no_row_can_hold_is_refused(where: str, number: str) -> None:
    found = _refused(b'{"%s": {"seed": %s}}' % (where.encode(), number.encode()))
    assert "seed: a number beyond" in found or "not JSON" in found


def test_what_people_write_in_a_note_is_taken() -> None:
    note = "Zweite Runde: \N{GRINNING FACE}\nmit Absatz\tund \u202e allem"
    assert parsed(json.dumps({"note": note}).encode(), PATH) == {"note": note}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"null", "expected an object, found null"),
        (b"[]", "expected an object, found a list"),
        (b"3", "expected an object, found a number"),
        (b'{"note": null}', "note must be a text, found null"),
        (b'{"note": true}', "note must be a text, found true or false"),
        (b'{"validation": []}', "validation must be an object, found a list"),
        (b'{"hyperparameters": 1.5}', "hyperparameters must be an object, found a number"),
        (b'{"note": "caf\xe9"}', "byte 14 is no UTF-8; save the file as UTF-8"),
        (b'{"validation": {"min_rows": ' + b"9" * 5000 + b"}}", "a number of 5000 digits, beyond 9007199254740992"),
    ],
)
def test_a_refusal_has_no_words_of_python(data: bytes, words: str) -> None:
    found = _refused(data)
    assert words in found
    assert not any(word in found for word in ("NoneType", "dict", "codec", "sys.", "str,"))
