"""Route templates of HTTP functions, matched as ASP.NET does for the real host. Pure; used by `http`.

`items/{id:int}`, `{name?}`, `{page=1}`, `{*rest}`, `files/{name}.{ext}`: a template becomes a regular
expression plus checks of its constraints. Matching ignores case; of several templates the most specific wins
(`Route.precedence`).
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

Check = Callable[[str], bool]

_PARAMETER = re.compile(
    r"\{(?P<stars>\*{0,2})(?P<name>\w+)"
    r"(?P<constraints>(?::\w+(?:\((?:[^()\\]|\\.|\([^()]*\))*\))?)*)"
    r"(?:=(?P<default>[^{}]*))?(?P<optional>\?)?\}"
)
_CONSTRAINT = re.compile(r":(\w+)(?:\(((?:[^()\\]|\\.|\([^()]*\))*)\))?")
_ESCAPES = str.maketrans({"\x01": "{", "\x02": "}"})


@dataclass(frozen=True)
class HttpRoute:
    """A compiled template."""

    template: str
    pattern: re.Pattern[str]
    checks: tuple[tuple[str, Check], ...]
    defaults: tuple[tuple[str, str], ...]
    precedence: tuple[int, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The route parameters in `path`, without absent optional ones; None if it is another route's."""
        found = self.pattern.fullmatch("/" + path.strip("/") if path.strip("/") else "")
        if not found:
            return None
        values = {name: value for name, value in found.groupdict().items() if value is not None}
        if not all(check(values[name]) for name, check in self.checks if name in values):
            return None
        return dict(self.defaults) | values


def compile_route(template: str) -> HttpRoute:
    """The route for a template, prefix included; ValueError says what is wrong with it."""
    checks: list[tuple[str, Check]] = []
    defaults: list[tuple[str, str]] = []
    pattern, ranks = "", []
    escaped = template.strip("/").replace("{{", "\x01").replace("}}", "\x02")
    for segment in _segments(escaped):
        parameters = list(_PARAMETER.finditer(segment))
        whole = len(parameters) == 1 and parameters[0].group() == segment
        for parameter in parameters:
            if not whole and (parameter["optional"] or parameter["stars"] or parameter["default"] is not None):
                raise ValueError(f"{parameter.group()} must be a segment of its own in the route {template!r}")
            checks += [(parameter["name"], check) for check in _checks(parameter["constraints"])]
            if parameter["default"] is not None:
                defaults.append((parameter["name"], parameter["default"]))
        pattern += _whole(parameters[0]) if whole else "/" + _mixed(segment, template)
        ranks.append(_rank(parameters, whole))
    return HttpRoute(
        template, re.compile(pattern, re.IGNORECASE | re.DOTALL), tuple(checks), tuple(defaults), tuple(ranks)
    )


def _segments(template: str) -> list[str]:
    """The template cut at its slashes, those inside of braces excepted."""
    return re.findall(r"(?:[^/{}]|\{[^{}]*\}|[{}])+", template)


def _whole(parameter: re.Match[str]) -> str:
    """The expression for a segment that is one parameter."""
    body = f"/(?P<{parameter['name']}>{'.*' if parameter['stars'] else '[^/]+'})"
    optional = parameter["stars"] or parameter["optional"] or parameter["default"] is not None
    return f"(?:{body})?" if optional else body


def _mixed(segment: str, template: str) -> str:
    """The expression for a segment of literals and parameters; greedy, so the last separator counts."""
    pattern, at = "", 0
    for parameter in _PARAMETER.finditer(segment):
        pattern += _literal(segment[at : parameter.start()], template) + f"(?P<{parameter['name']}>[^/]+)"
        at = parameter.end()
    return pattern + _literal(segment[at:], template)


def _literal(text: str, template: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError(f"{text!r} cannot be read in the route {template!r}")
    return re.escape(text.translate(_ESCAPES))


def _rank(parameters: list[re.Match[str]], whole: bool) -> int:
    """How specific a segment is: 1 literal, 2 constrained or mixed, 3 parameter, 4 and 5 all the rest."""
    if not parameters:
        return 1
    constrained = bool(parameters[0]["constraints"])
    if parameters[0]["stars"]:
        return 4 if constrained else 5
    return 2 if constrained or not whole else 3


def _checks(constraints: str) -> list[Check]:
    return [_check(name, argument) for name, argument in _CONSTRAINT.findall(constraints)]


def _check(name: str, argument: str) -> Check:
    """The test that an inline constraint stands for."""
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "regex":
        expression = re.compile(argument.translate(_ESCAPES).replace("\\\\", "\\"), re.IGNORECASE)
        return lambda value: bool(expression.search(value))
    if name not in _BOUNDED:
        raise ValueError(f"unknown route constraint {name!r}")
    bounds = [int(part) for part in argument.split(",")]
    return lambda value: _BOUNDED[name](value, bounds)


def _parses(convert: Callable[[str], object]) -> Check:
    def check(value: str) -> bool:
        try:
            convert(value)
        except ValueError:
            return False
        return True

    return check


def _integer(bits: int) -> Check:
    limit = 1 << (bits - 1)
    return lambda value: bool(re.fullmatch(r"-?\d+", value, re.ASCII)) and -limit <= int(value) < limit


_PLAIN: dict[str, Check] = {
    "int": _integer(32),
    "long": _integer(64),
    "bool": lambda value: value.lower() in ("true", "false"),
    "alpha": lambda value: bool(re.fullmatch("[A-Za-z]*", value)),
    "guid": _parses(uuid.UUID),
    "datetime": _parses(datetime.fromisoformat),
    "decimal": _parses(float),
    "double": _parses(float),
    "float": _parses(float),
    "required": bool,
}
_NUMBER = _integer(64)
_BOUNDED: dict[str, Callable[[str, list[int]], bool]] = {
    "length": lambda value, bounds: bounds[0] <= len(value) <= bounds[-1],
    "minlength": lambda value, bounds: len(value) >= bounds[0],
    "maxlength": lambda value, bounds: len(value) <= bounds[0],
    "min": lambda value, bounds: _NUMBER(value) and int(value) >= bounds[0],
    "max": lambda value, bounds: _NUMBER(value) and int(value) <= bounds[0],
    "range": lambda value, bounds: _NUMBER(value) and bounds[0] <= int(value) <= bounds[1],
}
