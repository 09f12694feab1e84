"""Writes `tests/infra/resource_types.json`: what Azure's published types say of each resource that `infra/` uses.

Run by a person when a template takes another resource or API version: `python -m scripts.resource_types AZMCP`, where
AZMCP is the program `azmcp` of the package msmcp-azure, which has the types in it and asks nobody. It takes minutes.
Types that the package does not have stay as they are in the file: they were written by hand. A repeat changes nothing.

The notation, short enough to be read: a property is `string`, `[*]string` (required) or `[-]string` (the service fills
it in); an object with kinds (`?`) has the name of the property that says which, and a type for each value of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FILE = ROOT / "tests" / "infra" / "resource_types.json"
SOURCE = "msmcp-azure 3.0.0"
_USED = re.compile(r"'(Microsoft\.[\w./]+)@(\d{4}-\d\d-\d\d(?:-preview)?)'")
# Of the kinds of a thing only those that the templates might use: the others would make the file ten times as long.
_KINDS = {"AmlCompute", "AzureBlob", "None", "appsettings", "scm", "AzureFunction", "StorageBlob", "StringIn",
          "EventGridSchema", "Json"}  # fmt: skip
# Types that the program names and does not describe; written by hand, from the service's REST specification.
_LEFT_OUT: dict[str, dict[str, Any]] = {
    "DatastoreCredentials": {"?": {"credentialsType": {"None": "DatastoreCredentials.None"}}},
    "DatastoreCredentials.None": {"credentialsType": "[*]None"},
}
_LIST = re.compile(r"\[\]$")


def used() -> dict[str, set[str]]:
    """Every resource type that the templates name, with the versions."""
    found: dict[str, set[str]] = {}
    found["Microsoft.EventGrid/systemTopics/eventSubscriptions"] = {"2025-02-15"}  # what the hook makes
    for path in sorted((ROOT / "infra").rglob("*.bicep")):
        for name, version in _USED.findall(path.read_text("utf-8")):
            found.setdefault(name, set()).add(version)
    return found


def ask(program: str, name: str) -> list[dict[str, Any]]:
    """What the program knows of a resource type; nothing when it does not know it."""
    environment = {**os.environ, "AZURE_MCP_COLLECT_TELEMETRY": "false"}
    command = [program, "bicepschema", "get", "--resource-type", name]
    answer = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True).stdout)
    found: list[dict[str, Any]] = answer["results"]["BicepSchemaResult"] if answer["status"] == 200 else []
    return found


def shortened(answer: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """`type@version` and its short description."""
    resource = next(each for each in answer if each["$type"] == "Resource")
    known = {each["name"]: each for each in answer if each["$type"] in ("Object", "DiscriminatedObject")}
    types: dict[str, Any] = {}
    todo = [("body", resource["bodyType"])]
    while todo:
        name, described = todo.pop()
        if name in types:
            continue
        types[name], parts = _object(name, described)
        todo += parts
        for kind in [kind for kind in types[name].values() if isinstance(kind, str)]:
            reached = _plain(kind)
            if not kind.startswith("[-]") and reached in known:
                todo.append((reached, known[reached]))
            elif reached in _LEFT_OUT:
                types |= {name: found for name, found in _LEFT_OUT.items() if name.startswith(reached)}
    described = {"from": SOURCE, "scopes": resource["writableScopes"], "types": dict(sorted(types.items()))}
    return resource["name"], described


def _object(name: str, described: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """An object's properties, and the kinds of it that are types of their own."""
    if described["$type"] != "DiscriminatedObject":
        found = {p["name"]: _flag(p) + p["type"] for p in described.get("properties", ())}
        extra = described.get("additionalPropertiesType") or described.get("additionalProperties")
        return (found | ({"*": extra if isinstance(extra, str) else "any"} if extra else {})), []
    key = _discriminator(described["elements"])
    kinds, parts = {}, []
    for element in described["elements"]:
        value = next(p["type"] for p in element["properties"] if p["name"] == key)
        if value in _KINDS:
            kinds[value] = f"{name}.{value}"
            both = [*described["baseProperties"], *element["properties"]]
            parts.append((kinds[value], {"$type": "Object", "properties": both}))
    return {"?": {key: kinds}}, parts


def _discriminator(elements: list[dict[str, Any]]) -> str:
    """The property that has another single value in each kind."""
    names = [p["name"] for p in elements[0]["properties"] if "Required" in p.get("flags", "")]
    values = {name: {p["type"] for e in elements for p in e["properties"] if p["name"] == name} for name in names}
    return str(next(name for name in names if len(values[name]) == len(elements)))


def _flag(described: dict[str, Any]) -> str:
    flags = described.get("flags", "")
    return "[*]" if "Required" in flags else "[-]" if "ReadOnly" in flags else ""


def _plain(kind: str) -> str:
    return _LIST.sub("", kind.removeprefix("[*]"))


def main(program: str) -> None:
    """Ask for every type and write the file."""
    kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    found: dict[str, Any] = {}
    for name, versions in used().items():
        by_hand = {f"{name}@{version}" for version in versions} & kept.keys()
        if answer := ask(program, name):
            known, description = shortened(answer)
            found[known] = description
        found |= {key: kept[key] for key in by_hand if key not in found}
        print(name, *sorted(versions), "" if answer else "(not known to the program)", file=sys.stderr)
    lines = (f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in sorted(found.items()))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
