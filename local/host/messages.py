"""The messages that the runtime and its host exchange; protobuf classes in Azure, plain objects here.

`runtime` passes the module-level `PROTOS` to azure-functions-runtime, which builds its answers from it;
`invocations` and the triggers build the requests. Every field is declared: a release of the runtime that sets
an unknown one fails here at once (and in the contract test) instead of being misread.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar


class Message:
    """Keeps the declared fields given by keyword; the others are None, as unset protobuf fields are falsy."""

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **given: Any) -> None:
        if unknown := given.keys() - set(self.FIELDS):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        for field in self.FIELDS:
            setattr(self, field, given.get(field))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


class TypedData(Message):
    """One value on its way in or out; `WhichOneof` names the field that holds it.

    >>> TypedData(json="[1]").WhichOneof("data")
    'json'
    """

    FIELDS = (
        "string",
        "json",
        "bytes",
        "int",
        "double",
        "http",
        "collection_bytes",
        "collection_string",
        "collection_double",
        "collection_sint64",
        "model_binding_data",
        "collection_model_binding_data",
    )

    def WhichOneof(self, _group: str) -> str | None:
        return next((field for field in self.FIELDS if getattr(self, field) is not None), None)

    def value(self) -> Any:
        """The value itself, whatever field holds it."""
        kind = self.WhichOneof("data")
        return getattr(self, kind) if kind else None


class ParameterBinding(Message):
    FIELDS = ("name", "data")

    def WhichOneof(self, _group: str) -> str | None:
        return "data" if self.data is not None else None


class RpcHttp(Message):
    FIELDS = (
        "method",
        "url",
        "headers",
        "query",
        "params",
        "body",
        "status_code",
        "cookies",
        "enable_content_negotiation",
    )


class RpcHttpCookie(Message):
    FIELDS = ("name", "value", "domain", "path", "expires", "max_age", "secure", "http_only", "same_site")
    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class StatusResult(Message):
    FIELDS = ("status", "exception")
    Failure, Success = 0, 1


class RpcException(Message):
    FIELDS = ("message", "stack_trace")


class WorkerMetadata(Message):
    FIELDS = (
        "runtime_name",
        "runtime_version",
        "worker_version",
        "worker_bitness",
        "custom_properties",
    )


class WorkerInitResponse(Message):
    FIELDS = ("capabilities", "worker_metadata", "result")


class FunctionMetadataResponse(Message):
    FIELDS = ("use_default_metadata_indexing", "function_metadata_results", "result")


class RpcFunctionMetadata(Message):
    FIELDS = (
        "name",
        "function_id",
        "managed_dependency_enabled",
        "directory",
        "script_file",
        "entry_point",
        "is_proxy",
        "language",
        "bindings",
        "raw_bindings",
        "retry_options",
        "properties",
    )


class BindingInfo(Message):
    FIELDS = ("type", "data_type", "direction")
    undefined, out, inout = None, 1, 2


class RpcRetryOptions(Message):
    FIELDS = (
        "max_retry_count",
        "retry_strategy",
        "delay_interval",
        "minimum_interval",
        "maximum_interval",
    )


class InvocationResponse(Message):
    FIELDS = ("invocation_id", "return_value", "output_data", "result")


class Value(Message):
    FIELDS = ("value",)


class Timestamp(Message):
    FIELDS = ("seconds",)


class InvocationRequest(Message):
    FIELDS = (
        "invocation_id",
        "function_id",
        "input_data",
        "trigger_metadata",
        "trace_context",
        "retry_context",
    )


class TraceContext(Message):
    FIELDS = ("trace_parent", "trace_state", "attributes")


class RetryContext(Message):
    FIELDS = ("retry_count", "max_retry_count", "exception")


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    FunctionMetadataResponse=FunctionMetadataResponse,
    InvocationResponse=InvocationResponse,
    NullableBool=Value,
    NullableDouble=Value,
    NullableString=Value,
    NullableTimestamp=Value,
    ParameterBinding=ParameterBinding,
    RpcException=RpcException,
    RpcFunctionMetadata=RpcFunctionMetadata,
    RpcHttp=RpcHttp,
    RpcHttpCookie=RpcHttpCookie,
    RpcRetryOptions=RpcRetryOptions,
    StatusResult=StatusResult,
    Timestamp=Timestamp,
    TypedData=TypedData,
    WorkerInitResponse=WorkerInitResponse,
    WorkerMetadata=WorkerMetadata,
)
