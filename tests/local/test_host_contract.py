"""What azure-functions-runtime wants of its host: everything it touches of the messages.

Its `protos` are not a public interface. A release that touches more, or something else, fails here, and is to be
read before the pinned version is moved.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDER = Path(__file__).parent / "host_apps" / "record_contract.py"

TOUCHED = {
    "(outcomes)": [
        "happen: succeeded",
        "page: succeeded",
        "read: succeeded",
        "tick: succeeded",
        "tock: ValueError: on purpose",
    ],
    "BindingInfo": ["data_type", "direction", "inout", "out", "type"],
    "FunctionMetadataResponse": ["function_metadata_results", "result", "use_default_metadata_indexing"],
    "InvocationRequest": [
        "function_id",
        "input_data",
        "invocation_id",
        "retry_context",
        "trace_context",
        "trigger_metadata",
    ],
    "InvocationResponse": ["invocation_id", "output_data", "result", "return_value"],
    "NullableBool": ["value"],
    "NullableDouble": ["value"],
    "NullableString": ["value"],
    "NullableTimestamp": ["value"],
    "ParameterBinding": ["WhichOneof", "data", "name"],
    "RetryContext": ["exception", "max_retry_count", "retry_count"],
    "RpcException": ["message", "stack_trace"],
    "RpcFunctionMetadata": [
        "bindings",
        "directory",
        "entry_point",
        "function_id",
        "is_proxy",
        "language",
        "managed_dependency_enabled",
        "name",
        "properties",
        "raw_bindings",
        "retry_options",
        "script_file",
    ],
    "RpcHttp": [
        "body",
        "cookies",
        "enable_content_negotiation",
        "headers",
        "method",
        "params",
        "query",
        "status_code",
        "url",
    ],
    "RpcHttpCookie": [
        "SameSite",
        "domain",
        "expires",
        "http_only",
        "max_age",
        "name",
        "path",
        "same_site",
        "secure",
        "value",
    ],
    "RpcRetryOptions": ["delay_interval", "max_retry_count", "maximum_interval", "minimum_interval", "retry_strategy"],
    "StatusResult": ["exception", "status"],
    "Timestamp": ["seconds"],
    "TraceContext": ["attributes", "trace_parent", "trace_state"],
    "TypedData": ["TypedData", "WhichOneof", "bytes", "http", "json", "string"],
    "WorkerInitResponse": ["capabilities", "result", "worker_metadata"],
    "WorkerMetadata": ["custom_properties", "runtime_name", "runtime_version", "worker_bitness", "worker_version"],
}


def test_the_runtime_touches_what_the_host_provides_and_nothing_else() -> None:
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, str(RECORDER)], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == TOUCHED
