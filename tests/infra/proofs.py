"""What must hold of a folder of templates, each as a function that returns complaints: file, line, what, what instead.

`test_templates.py` runs them on `infra/`, and on copies into which a mistake was planted.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pycep import BicepParser

from tests.infra import bicep
from tests.infra.bicep import BadBicep, Declared, Expression, Template, Value

type Proof = Callable[[Path], list[str]]

TYPES: dict[str, Any] = json.loads((Path(__file__).parent / "resource_types.json").read_text("utf-8"))
# Which scopes a file may be deployed at, by what the types call them.
_SCOPES = {"ResourceGroup": {"resourceGroup"}, "Subscription": {"subscription"},
           "AllExceptExtension": {"resourceGroup", "subscription", "managementGroup", "tenant"}}  # fmt: skip
_ALWAYS = {"parent", "scope", "dependsOn", "name"}
_RESULTS = {"empty": "bool", "union": "object", "guid": "string", "uniqueString": "string", "split": "array",
            "resourceId": "string", "string": "string", "int": "int"}  # fmt: skip


def planted(infra: Path, scratch: Path, file: str, old: str, new: str, times: int = -1) -> Path:
    """A copy of the templates with a mistake in one file: `new` in place of `old`, everywhere or so many times."""
    folder = scratch / "infra"
    shutil.copytree(infra, folder, ignore=shutil.ignore_patterns("hooks"))
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, times), "utf-8")
    return folder


def both_parsers(folder: Path) -> list[str]:
    """Each file is read by two parsers that know nothing of each other; one statement a line, which neither checks."""
    complaints = []
    for path in files(folder):
        text = path.read_text("utf-8")
        try:
            bicep.read(path)
        except BadBicep as error:
            complaints.append(f"tree-sitter: {error}")
        if why := _pycep_says(text):
            complaints.append(f"pycep: {path.name}: {why}")
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"^\s*[\w.']+: [\w.]+ [\w.]+: ", line):
                complaints.append(f"{path.name}:{number}: two statements on a line: {line.strip()}")
    return complaints


@cache
def _pycep_says(text: str) -> str:
    """What the other parser has to say against a text."""
    try:
        _parser().parse(text=text)
    except Exception as error:  # noqa: BLE001 - it raises what its grammar library raises
        return str(error).splitlines()[0]
    return ""


@cache
def _parser() -> BicepParser:
    return BicepParser()


def names(folder: Path) -> list[str]:
    """Nothing is used that is not declared, declared and not used, declared twice, or asked of what lacks it."""
    return [complaint for path in files(folder) for complaint in _names(bicep.read(path))]


def _names(template: Template) -> Iterator[str]:
    yield from template.twice
    used: set[str] = set()
    for declared in everything(template):
        for expression in _used_in(declared):
            used |= expression.names
            if unknown := sorted(expression.names - template.names - set(declared.loop) - {"environment"}):
                near = difflib.get_close_matches(unknown[0], template.names, 1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                yield f"{template.where(expression)}: {unknown[0]} is not declared{hint}"
            yield from _outputs(template, expression)
    for table in (template.params, template.variables):
        for name in table.keys() - used:
            yield f"{template.where(table[name])}: {name} is declared and not used"
    for name in (n for n, one in template.resources.items() if one.existing and n not in used):
        yield f"{template.where(template.resources[name])}: {name} is declared and not used"
    for module in template.modules.values():
        yield from _parameters(template, module)


def _outputs(template: Template, expression: Expression) -> Iterator[str]:
    """`storage.outputs.id` of a module that has no such output."""
    for first, *rest in bicep.members(expression):
        module = template.modules.get(first)
        if module is not None and rest[:1] == ["outputs"] and len(rest) > 1:
            target = template.path.parent / module.what
            known = bicep.read(target).outputs if target.exists() else {}
            if rest[1] not in known:
                yield f"{template.where(expression)}: {module.what} has no output {rest[1]}, but {', '.join(known)}"


def _parameters(template: Template, module: Declared) -> Iterator[str]:
    """What a module is given, and what it asks for."""
    where, target = template.where(module), template.path.parent / module.what
    if not target.exists():
        yield f"{where}: there is no file {module.what}"
        return
    called, given = bicep.read(target), module.body.get("params", {})
    for name in given.keys() - called.params.keys():
        yield f"{where}: {module.what} has no parameter {name}, but {', '.join(called.params)}"
    for name, param in called.params.items():
        if name not in given and param.value is None:
            yield f"{where}: {module.what} needs the parameter {name}"
        elif name in given and (wrong := _not_of(given[name], param.what, template)):
            yield f"{where}: {name} of {module.what} is a {param.what}; given is {wrong}"
    if (scope := _scope_of(module, template)) != called.scope:
        yield f"{where}: {module.what} is for the scope {called.scope}, and is deployed at {scope}"


def _not_of(value: Value, kind: str, template: Template) -> str:
    """What a value is, where that is certain and is not the kind."""
    found = _kind(value, template)
    return found if found and found != kind else ""


def _kind(value: Value, template: Template) -> str:
    if not isinstance(value, Expression):
        return {bool: "bool", str: "string", int: "int", dict: "object", list: "array"}.get(type(value), "")
    if value.kind == "string":
        return "string"
    if value.kind == "identifier":
        declared = template.params.get(value.text)
        if declared is None and value.text in template.variables:
            return _kind(template.variables[value.text].value, template)
        return declared.what if declared else ""
    if value.kind == "call_expression":
        return _RESULTS.get(value.text.partition("(")[0], "")
    chain = value.text.replace("!", "").split(".")
    module = template.modules.get(chain[0])
    if module is not None and chain[1:2] == ["outputs"] and (template.path.parent / module.what).exists():
        output = bicep.read(template.path.parent / module.what).outputs.get(chain[2])
        return output.what if output else ""
    return ""


def _scope_of(module: Declared, template: Template) -> str:
    scope = module.body.get("scope")
    return scope.text.partition("(")[0] if isinstance(scope, Expression) else template.scope


def _used_in(declared: Declared) -> Iterator[Expression]:
    """Every expression of a declaration: of its value, its condition and its loop."""
    assert declared.node is not None
    for child in declared.node.named_children[1:]:
        yield from bicep.expressions(child)


def types(folder: Path) -> list[str]:
    """Every resource is of a published type and version, where it may be, with its properties and no others."""
    return [complaint for path in files(folder) for complaint in _types(bicep.read(path))]


def _types(template: Template) -> Iterator[str]:
    for resource in template.resources.values():
        where = template.where(resource)
        known = TYPES.get(resource.what)
        if known is None:
            name, _, version = resource.what.partition("@")
            versions = [each.partition("@")[2] for each in TYPES if each.partition("@")[0] == name]
            near = difflib.get_close_matches(name, {each.partition("@")[0] for each in TYPES}, 1)
            hint = f"known is {', '.join(versions)}" if versions else f"did you mean {near[0]}?" if near else "unknown"
            yield f"{where}: {name} has no published version {version}: {hint}"
            continue
        if resource.existing:
            continue
        if "scope" not in resource.body and template.scope not in _SCOPES[known["scopes"]]:
            yield f"{where}: {resource.what} is for {known['scopes']}, and this file is for {template.scope}"
        for complaint in _object(resource.body, "body", known["types"], template):
            yield f"{where}: {resource.name}{complaint}"
    yield from _read_properties(template)


def _read_properties(template: Template) -> Iterator[str]:
    """`vault.properties.vaultUri`: of what is read from a resource, as far down as the types say."""
    for declared in everything(template):
        for expression in _used_in(declared):
            for first, *rest in bicep.members(expression):
                resource = template.resources.get(first)
                if resource is not None and resource.what in TYPES:
                    known = TYPES[resource.what]["types"]
                    if wrong := _unknown(rest, _kind_of(known, "body", resource.value), known):
                        asked = f"{resource.what} has no {'.'.join([first, *rest])}"
                        yield f"{template.where(expression)}: {asked}: {wrong}"


def _unknown(chain: list[str], properties: dict[str, str], known: dict[str, Any]) -> str:
    for name in chain:
        if "*" in properties or not properties:
            return ""
        if name not in properties:
            return f"{name} is none of {', '.join(sorted(properties))[:200]}"
        reached = _plain(properties[name])
        properties = known.get(reached, {})
        if "?" in properties:
            return ""
    return ""


def _kind_of(known: dict[str, Any], name: str, value: Value) -> dict[str, str]:
    """The properties of an object; of one with several kinds, those of the kind that the value says."""
    found: dict[str, Any] = known[name]
    if "?" not in found:
        return found
    ((key, kinds),) = found["?"].items()
    said = value.get(key) if isinstance(value, dict) else None
    reached: dict[str, str] = known.get(kinds.get(said, ""), {})
    return reached


def _object(value: Value, name: str, known: dict[str, Any], template: Template) -> Iterator[str]:
    """Complaints about an object, each beginning with where it is."""
    if not isinstance(value, dict):
        if not isinstance(value, Expression):
            yield f": expected an object, found {value!r}"
        return
    if "?" in known[name]:
        ((key, kinds),) = known[name]["?"].items()
        if value.get(key) not in kinds:
            yield f".{key}: {value.get(key)!r} is none of {', '.join(kinds)}"
            return
    properties = _kind_of(known, name, value)
    optional = _ALWAYS if name.startswith("body") else set()
    for key, kind in properties.items():
        if kind.startswith("[*]") and key not in value:
            yield f": {key} is required"
    for key, given in value.items():
        kind = properties.get(key) or properties.get("*", "")
        if not kind and key not in optional:
            near = difflib.get_close_matches(key, properties, 1)
            yield f".{key}: there is no such property{f' (did you mean {near[0]}?)' if near else ''}"
        elif kind.startswith("[-]"):
            yield f".{key}: only the service writes it"
        elif kind:
            yield from (f".{key}{complaint}" for complaint in _value(given, kind.removeprefix("[*]"), known, template))


def _value(value: Value, kind: str, known: dict[str, Any], template: Template) -> Iterator[str]:
    value = _resolved(value, template)
    if kind.endswith("[]"):
        if isinstance(value, list):
            for number, one in enumerate(value):
                yield from (f"[{number}]{text}" for text in _value(one, kind.removesuffix("[]"), known, template))
        elif not isinstance(value, Expression):
            yield f": expected a list, found {value!r}"
    elif kind in known:
        yield from _object(value, kind, known, template)
    elif isinstance(value, Expression) and (found := _kind(value, template)) and kind in ("string", "int", "bool"):
        yield from [f": expected {kind}, found {found} ({value.text})"] if found != kind else []
    elif not isinstance(value, Expression) and value is not None:
        yield from _plain_value(value, kind)


def _plain_value(value: Value, kind: str) -> Iterator[str]:
    python = {"string": str, "int": int, "bool": bool}.get(kind)
    if python is not None and type(value) is not python:
        yield f": expected {kind}, found {value!r}"
    elif python is None and kind != "any":
        allowed = kind.split(" | ")
        # A list that ends in `string` is open: Azure may take more. What is not on it is wrong here all the same.
        if isinstance(value, dict | list) and allowed == [kind]:
            return  # a type that is not described
        if not isinstance(value, str) or value not in allowed or value == "string":
            yield f": {value!r} is none of {', '.join(each for each in allowed if each != 'string')}"


def _resolved(value: Value, template: Template) -> Value:
    """A variable's value in place of its name."""
    if isinstance(value, Expression) and value.kind == "identifier" and value.text in template.variables:
        return template.variables[value.text].value
    return value


def _plain(kind: str) -> str:
    return re.sub(r"^\[[*-]\]|\[\]$", "", kind)


def parameters(folder: Path) -> list[str]:
    """main.parameters.json gives parameters that there are, of values they may have, and all without a default."""
    given = json.loads((folder / "main.parameters.json").read_text("utf-8"))["parameters"]
    params = bicep.read(folder / "main.bicep").params
    complaints = [f"main.parameters.json: main.bicep has no parameter {name}" for name in given.keys() - params.keys()]
    for name, param in params.items():
        if name not in given and param.value is None:
            complaints.append(f"main.parameters.json: {name} is missing, which has no default")
        if name not in given and "secure" not in param.decorators and "Now(" not in str(param.value):
            complaints.append(f"main.parameters.json: {name} cannot be set from an environment")
        if name in given:
            complaints += _parameter(name, param, given[name]["value"])
        if "description" not in param.decorators:
            complaints.append(f"main.bicep:{param.line}: {name} has no description")
    return complaints


def _parameter(name: str, param: Declared, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        return
    found = re.fullmatch(r"\$\{([A-Z_]+)(?:=(.*))?\}", value)
    if found is None:
        yield f"main.parameters.json: {name} is {value!r}, which names no variable"
    elif found[2] is not None and param.what == "bool" and found[2] not in ("true", "false"):
        yield f"main.parameters.json: {name} is a bool, its default is {found[2]!r}"
    elif found[2] is not None and param.what == "int" and not found[2].isdigit():
        yield f"main.parameters.json: {name} is a number, its default is {found[2]!r}"
    elif found[2] is not None and found[2] != _as_text(param.value):
        yield f"main.parameters.json: the default of {name} is {found[2]!r}, in main.bicep {_as_text(param.value)!r}"


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def everything(template: Template) -> Iterator[Declared]:
    """All that is declared."""
    for table in (template.params, template.variables, template.resources, template.modules, template.outputs):
        yield from table.values()


def files(folder: Path) -> Iterable[Path]:
    """The templates of a folder."""
    return sorted(folder.rglob("*.bicep"))
