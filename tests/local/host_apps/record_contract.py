"""Run contract_app through the runtime and print every message class and field that the runtime touches.

A child process of test_host_contract.py, since an app can be indexed only once in a process.
"""

import asyncio
import inspect
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from local.host import messages, runtime
from local.host.errors import InvocationFailed
from local.host.messages import TypedData

touched: dict[str, set[str]] = defaultdict(set)
# Of ours: the runtime does not know it.
IGNORED = {"FIELDS"}


def by_the_runtime() -> bool:
    """Whether the code two frames up belongs to Microsoft's packages."""
    frame = inspect.currentframe()
    for _ in range(3):
        frame = frame.f_back if frame else None
    name = str(frame.f_globals.get("__name__", "")) if frame else ""
    return name.startswith(("azure_functions_runtime", "azure.functions"))


def wanted(attribute: str) -> bool:
    return attribute not in IGNORED and not attribute.startswith("__")


def recording(name: str, original: type) -> type:
    """A message class that notes which fields are set, read, or asked for as constants."""

    class Meta(type):
        def __getattribute__(cls, attribute: str) -> Any:
            if wanted(attribute) and by_the_runtime():
                touched[name].add(attribute)
            return super().__getattribute__(attribute)

    def __init__(self: Any, **given: Any) -> None:
        touched[name].update(given)
        original.__init__(self, **given)  # type: ignore[misc]

    def __getattribute__(self: Any, attribute: str) -> Any:
        if wanted(attribute) and by_the_runtime():
            touched[name].add(attribute)
        return object.__getattribute__(self, attribute)

    return Meta(name, (original,), {"__init__": __init__, "__getattribute__": __getattribute__})


class Protos:
    """What the runtime is given as `protos`: notes every class it asks for, known or not."""

    def __init__(self) -> None:
        self._classes = {name: recording(name, known) for name, known in vars(messages.PROTOS).items()}

    def __getattr__(self, name: str) -> Any:
        if by_the_runtime():
            _ = touched[name]
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(name) from None


def replace_messages(protos: Protos) -> None:
    """Have `runtime` build its requests of recording classes, too."""
    for name in ("InvocationRequest", "TraceContext", "RetryContext"):
        setattr(runtime, name, recording(name, getattr(messages, name)))
    setattr(runtime, "ParameterBinding", protos.ParameterBinding)  # noqa: B010 (not exported)


async def main() -> None:
    protos = Protos()
    typed: Any = protos.TypedData
    app = Path(__file__).parent / "contract_app"
    replace_messages(protos)
    indexed = await runtime.index(app, protos)
    rpc = protos.RpcHttp(method="GET", url="/", headers={"a": "b"}, query={"a": "b"}, params={}, body=TypedData())
    metadata = {"Id": typed(json='"1"'), "DequeueCount": typed(json="1")}
    inputs = {
        "page": ("req", typed(http=rpc), {}),
        "read": ("message", typed(string="text"), metadata),
        "tick": ("timer", typed(json="{}"), {}),
        "tock": ("timer", typed(json="{}"), {}),
        "happen": ("event", typed(json='{"id": "1"}'), {}),
    }
    for function in indexed.functions:
        parameter, data, extra = inputs[function.name]
        call = runtime.Invocation("invocation", function.function_id, parameter, data, extra)
        try:
            await runtime.invoke(call)
            outcome = "succeeded"
        except InvocationFailed as failure:
            outcome = str(failure)
        touched["(outcomes)"].add(f"{function.name}: {outcome}")
    print(json.dumps({name: sorted(fields) for name, fields in sorted(touched.items())}, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
