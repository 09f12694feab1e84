"""What the service looks at before it accepts a pipeline job: node, component, inputs against the
component's facts.

Pure; called once per new job. Values arrive as text and leave in the component's own types, defaults filled
in.
"""

from __future__ import annotations

import re
from typing import Any

from local.azureml.jobs.exceptions import InvalidJob, OnlyChatPipelines
from local.azureml.registry.models import NAME, Component, ComponentInput, Registry

_BINDING = re.compile(r"^\$\{\{parent\.inputs\.([^}]+)\}\}$")
_OUTPUT = re.compile(r"^\$\{\{parent\.outputs\.([^}]+)\}\}$")
_ASSET_TYPES = {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model"}


def only_node(properties: dict[str, Any], component: Component) -> dict[str, Any]:
    """The pipeline's one node, made of the one component this cloud knows."""
    if properties.get("jobType") != "Pipeline":
        raise OnlyChatPipelines(f"Job type '{properties.get('jobType')}' is not imitated; only Pipeline is.")
    nodes = properties.get("jobs") or {}
    if len(nodes) != 1:
        raise InvalidJob(f"The pipeline has {len(nodes)} nodes; a job here has exactly one.")
    name, node = next(iter(nodes.items()))
    expected = f"azureml://registries/{NAME}/components/{component.name}/versions/{component.version}"
    reference = str(node.get("componentId", ""))
    if not reference.lower().startswith(f"azureml://registries/{NAME}/components/"):
        raise OnlyChatPipelines(f"Node '{name}' uses '{reference}'; only {expected} is imitated.")
    if reference.lower() != expected.lower():
        raise InvalidJob(f"Node '{name}': component '{reference}' was not found.")
    found: dict[str, Any] = node
    return found


def resolve_inputs(node: dict[str, Any], pipeline_inputs: dict[str, Any], component: Component) -> dict[str, Any]:
    """Every input of the component with its value or URI; InvalidJob names the first that cannot be."""
    given = {name: _bound(name, value, pipeline_inputs) for name, value in (node.get("inputs") or {}).items()}
    if unknown := sorted(set(given) - set(component.inputs)):
        raise InvalidJob(f"Component {component.name} has no input named {', '.join(unknown)}.")
    resolved = {}
    for name, fact in component.inputs.items():
        if name in given:
            resolved[name] = _checked(name, fact, given[name])
        elif fact.default is not None:
            resolved[name] = fact.default
        elif not fact.optional:
            raise InvalidJob(f"Required input '{name}' of component {component.name} has no value.")
    return resolved


def _bound(name: str, value: Any, pipeline_inputs: dict[str, Any]) -> dict[str, Any]:
    """The input behind `${{parent.inputs.x}}`, or the literal itself."""
    document = value if isinstance(value, dict) else {"value": value}
    text = document.get("value")
    match = _BINDING.match(text) if isinstance(text, str) else None
    if match is None:
        return document
    if match[1] not in pipeline_inputs:
        raise InvalidJob(f"Input '{name}' is bound to '{match[1]}', which the pipeline does not have.")
    bound: dict[str, Any] = pipeline_inputs[match[1]]
    return bound


def _checked(name: str, fact: ComponentInput, given: dict[str, Any]) -> Any:
    if fact.type in _ASSET_TYPES:
        return _checked_asset(name, fact, given)
    if "value" not in given:
        raise InvalidJob(f"Input '{name}' is a {fact.type}, not a path ({given.get('uri')}).")
    return _checked_literal(name, fact, str(given["value"]))


def _checked_asset(name: str, fact: ComponentInput, given: dict[str, Any]) -> str:
    uri = given.get("uri")
    if not uri:
        raise InvalidJob(f"Input '{name}' is a {fact.type}; found the literal '{given.get('value')}'.")
    kind = given.get("jobInputType") or given.get("job_input_type") or fact.type
    if kind.lower() != fact.type:
        raise InvalidJob(f"Input '{name}' is a {fact.type}; found a {kind} ({uri}).")
    return str(uri)


def _checked_literal(name: str, fact: ComponentInput, text: str) -> Any:
    try:
        value: Any = {"integer": int, "number": float, "string": str}[fact.type](text)
    except ValueError:
        raise InvalidJob(f"Input '{name}' is of type {fact.type}; found '{text}'.") from None
    if fact.enum is not None and value not in fact.enum:
        raise InvalidJob(f"Input '{name}' must be one of {', '.join(fact.enum)}; found '{text}'.")
    if fact.min is not None and value < fact.min:
        raise InvalidJob(f"Input '{name}' must be at least {fact.min:g}; found {text}.")
    if fact.max is not None and value > fact.max:
        raise InvalidJob(f"Input '{name}' must be at most {fact.max:g}; found {text}.")
    return value


def check_base_model(inputs: dict[str, Any], registry: Registry) -> None:
    """A registry model that is named must be there; archived ones may still be used."""
    for name in ("mlflow_model_path", "pytorch_model_path"):
        uri = inputs.get(name) or ""
        if uri.startswith("azureml://registries/") and registry.model_at(uri) is None:
            raise InvalidJob(f"Input '{name}': model {model_name(uri)} was not found in its registry.")


def model_name(uri: str) -> str:
    """`name:version` of a registry's model."""
    parts = uri.rstrip("/").split("/")
    return f"{parts[-3]}:{parts[-1]}" if len(parts) > 3 else uri


def output_name(node: dict[str, Any], pipeline_outputs: dict[str, Any]) -> str:
    """The pipeline's name for the component's `mlflow_model_folder`."""
    for name, value in (node.get("outputs") or {}).items():
        if name not in ("mlflow_model_folder", "pytorch_model_folder"):
            raise InvalidJob(f"The component has no output named '{name}'.")
        match = _OUTPUT.match(str((value or {}).get("value", "")))
        if name == "mlflow_model_folder" and match and match[1] in pipeline_outputs:
            return match[1]
    raise InvalidJob("No output of the pipeline is bound to the component's mlflow_model_folder.")
