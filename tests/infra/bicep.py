"""Reads the Bicep of `infra/` into plain values, for the proofs of this folder. It compiles nothing.

A text is a `str`, a number an `int`, an object a `dict`, a list a `list`; whatever must be worked out (a name, a call,
a text with something put in) is an `Expression` that keeps its own text and the names in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

type Value = str | int | bool | dict[str, Any] | list[Any] | Expression | None

_PARSER = Parser(Language(tree_sitter_bicep.language()))


class BadBicep(Exception):
    """The text is no Bicep, or is more of Bicep than is read here."""


@dataclass(frozen=True)
class Expression:
    """Something that is worked out when the template is deployed. `kind` is the grammar's word for it."""

    text: str
    kind: str
    names: frozenset[str]
    node: Node = field(compare=False, repr=False)


@dataclass(frozen=True)
class Declared:
    """One parameter, variable, resource, module or output. `value` of a resource is its body.

    `what`: the resource's type and version, the module's path, or the type of a parameter or output. `loop`: the names
    that its loop gives. `decorators`: by name, with the arguments as text.
    """

    name: str
    what: str
    value: Value = None
    existing: bool = False
    condition: str = ""
    loop: tuple[str, ...] = ()
    decorators: dict[str, str] = field(default_factory=dict)
    line: int = 0
    node: Node | None = field(default=None, compare=False, repr=False)

    @property
    def body(self) -> dict[str, Any]:
        """The object between its braces."""
        assert isinstance(self.value, dict), self.name
        return self.value


@dataclass
class Template:
    """One file."""

    path: Path
    scope: str = "resourceGroup"
    params: dict[str, Declared] = field(default_factory=dict)
    variables: dict[str, Declared] = field(default_factory=dict)
    resources: dict[str, Declared] = field(default_factory=dict)
    modules: dict[str, Declared] = field(default_factory=dict)
    outputs: dict[str, Declared] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """All that an expression of the file may name, but for outputs."""
        return {*self.params, *self.variables, *self.resources, *self.modules}

    def where(self, declared: Declared | Expression) -> str:
        """`main.bicep:12`."""
        line = declared.line if isinstance(declared, Declared) else declared.node.start_point[0] + 1
        return f"{self.path.name}:{line}"


_KINDS = {
    "parameter_declaration": "params",
    "variable_declaration": "variables",
    "resource_declaration": "resources",
    "module_declaration": "modules",
    "output_declaration": "outputs",
}


def read(path: Path) -> Template:
    """The file as it is now. Raises BadBicep with the line."""
    return _read(path, path.read_bytes())


@cache
def _read(path: Path, text: bytes) -> Template:
    root = _PARSER.parse(text).root_node
    for node in _all(root):
        if node.type == "ERROR" or node.is_missing:
            line = node.start_point[0] + 1
            raise BadBicep(f"{path.name}:{line}: not understood: {_text(node)[:60]!r}")
    found, decorators = Template(path), dict[str, str]()
    for node in root.named_children:
        if node.type == "decorators":
            decorators = dict(_decorator(one) for one in node.named_children)
        elif node.type == "target_scope_assignment":
            found.scope = str(value_of(node.named_children[-1]))
        elif node.type in _KINDS:
            one = _declared(node, decorators)
            table: dict[str, Declared] = getattr(found, _KINDS[node.type])
            taken = table if node.type == "output_declaration" else found.names
            found.twice += [f"{path.name}:{one.line}: {one.name} is declared twice"] if one.name in taken else []
            table[one.name] = one
            decorators = {}
        elif node.type != "comment":
            raise BadBicep(f"{path.name}:{node.start_point[0] + 1}: {node.type} is not read here")
    return found


def _decorator(node: Node) -> tuple[str, str]:
    call = node.named_children[0]
    name, *rest = call.named_children
    return _text(name), _text(rest[0])[1:-1].strip() if rest else ""


def _declared(node: Node, decorators: dict[str, str]) -> Declared:
    name, *rest = [child for child in node.named_children if child.type != "comment"]
    what, value, condition, loop = "", None, "", tuple[str, ...]()
    if node.type not in ("variable_declaration",):
        what = str(value_of(rest[0])) if rest[0].type == "string" else _text(rest[0])
        rest = rest[1:]
    if rest:
        last = rest[-1]
        if last.type == "for_statement":
            head = last.named_children[0]
            loop = tuple(_text(n) for n in _all(head) if n.type in ("loop_variable", "loop_enumerator"))
            loop = loop or (_text(head),)
            last = last.named_children[-1]
        if last.type == "if_statement":
            condition = _text(last.named_children[0])
            last = last.named_children[-1]
        value = value_of(last)
    existing = any(child.type == "existing" or _text(child) == "existing" for child in node.children)
    return Declared(_text(name), what, value, existing, condition, loop, decorators, node.start_point[0] + 1, node)


def value_of(node: Node) -> Value:
    """A literal as a value of Python, anything else as an Expression."""
    match node.type:
        case "string":
            if all(child.type != "interpolation" for child in node.named_children):
                return "".join(_string_part(child) for child in node.named_children)
        case "number":
            return int(_text(node))
        case "boolean":
            return _text(node) == "true"
        case "null":
            return None
        case "object":
            pairs = (child.named_children for child in node.named_children if child.type == "object_property")
            return {_key(pair[0]): value_of(pair[-1]) for pair in pairs}
        case "array":
            return [value_of(child) for child in node.named_children if child.type != "comment"]
    return Expression(_text(node), node.type, frozenset(_names(node)), node)


def _string_part(node: Node) -> str:
    return {"\\'": "'", "\\\\": "\\", "\\n": "\n", "\\$": "$"}.get(_text(node), _text(node))


def _key(node: Node) -> str:
    found = value_of(node)
    return found if isinstance(found, str) else found.text if isinstance(found, Expression) else _text(node)


def _names(node: Node) -> Iterator[str]:
    """The names that an expression uses: not those of functions, nor of the properties of an object."""
    for child in [node] if node.type == "identifier" else node.named_children:
        if node.type == "call_expression" and child == node.named_children[0] and child.type == "identifier":
            continue
        if node.type == "object_property" and child == node.named_children[0] and child.type == "identifier":
            continue
        if child.type == "identifier":
            yield _text(child)
        elif child.type not in ("property_identifier", "string_content"):
            yield from _names(child)


def expressions(node: Node) -> Iterator[Expression]:
    """Every expression below a node, also of keys that are worked out."""
    match node.type:
        case "object":
            for pair in (child.named_children for child in node.named_children if child.type == "object_property"):
                yield from expressions(pair[0]) if pair[0].type == "string" else ()
                yield from expressions(pair[-1])
        case "array" | "for_statement" | "if_statement" | "parenthesized_expression":
            for child in node.named_children:
                yield from expressions(child)
        case "comment" | "type" | "decorators" | "loop_variable" | "loop_enumerator" | "for_loop_parameters":
            pass
        case _:
            found = value_of(node)
            if isinstance(found, Expression):
                yield found


def members(expression: Expression) -> Iterator[list[str]]:
    """Every chain such as `storage.outputs.id`, as its parts; indexes are left out."""
    todo = [expression.node]
    while todo:
        node = todo.pop()
        if node.type == "member_expression" and (chain := _chain(node)):
            yield chain
        todo += node.named_children


def _chain(node: Node) -> list[str]:
    """The parts of a chain that begins with a name; nothing for another one, such as what a function returns."""
    match node.type:
        case "identifier":
            return [_text(node)]
        case "subscript_expression":
            return _chain(node.named_children[0])
        case "member_expression":
            base = _chain(node.named_children[0])
            return [*base, _text(node.named_children[-1])] if base else []
    return []


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _text(node: Node) -> str:
    return (node.text or b"").decode()
