"""Why a host does not start, or an invocation fails.

HostError
├── CannotStart          the app cannot be served as it is: printed, exit code 1
└── InvocationFailed     the function raised, timed out, or its outputs could not be written
"""


class HostError(Exception):
    """Anything this host reports about the app it runs."""


class CannotStart(HostError):
    """The app, its settings or the arguments must change first; `detail` holds a stack trace, if any."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class InvocationFailed(HostError):
    """One call of a function did not succeed; `trace` is for the log, never for a caller."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace
