"""From the bytes of a request to the value that its model checks. Pure. Raises ApiError (400) for what is no JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from shared.azure.answers import without_surrogates
from shared.serving.protocol import ApiError

_GZIP = b"\x1f\x8b"


def parse_body(body: bytes) -> Any:
    """The JSON value, in any of Unicode's encodings, with or without a byte order mark.

    Fields that are null are left out, at every depth, and halves of characters are replaced: neither can be meant.
    """
    if body.startswith(_GZIP):
        raise _not_json("it is compressed; say so with Content-Encoding: gzip")
    try:
        return cleaned(json.loads(body, parse_constant=_refuse_constant))
    except UnicodeDecodeError:
        raise _not_json("it is not UTF-8") from None
    except json.JSONDecodeError as error:  # its text holds nothing of the body
        raise _not_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None
    except ValueError:
        raise _not_json("it has a number that nothing can take") from None


def cleaned(value: Any) -> Any:
    """The same without fields that are null and without halves of characters."""
    match value:
        case str():
            return without_surrogates(value)
        case dict():
            return {cleaned(name): cleaned(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [cleaned(inner) for inner in value]
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _not_json(why: str) -> ApiError:
    return ApiError(400, "invalid_json", f"the body is not JSON: {why}")
