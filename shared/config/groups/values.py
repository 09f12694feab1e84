"""How settings with more than one value are written: JSON objects, and keys between blanks or commas."""

from __future__ import annotations

import json

from pydantic import BeforeValidator, SecretStr


def json_object(example: str) -> BeforeValidator:
    """A validator that reads JSON text, and shows `example` where the text is none."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"must be a JSON object, e.g. {example}; {error}") from error

    return BeforeValidator(read)


def keys_in(given: SecretStr | None) -> tuple[str, ...]:
    """The keys in a setting that holds several."""
    return tuple(given.get_secret_value().replace(",", " ").split()) if given else ()
