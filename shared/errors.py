"""The errors that rooms tell each other. What one room raises and catches by itself stands with it.

    PipelineError
    ├── TemporaryError(retry_after)     come back later: recorded as a fault, with growing delay
    │   ├── NotReady                    something that was started is not ready yet: no fault, however long it takes
    │   │   └── Damaged                 a blob of the ledger cannot be read: until a person mends it or sets it aside
    │   ├── ServiceBusy                 Azure answered 408, 409 (busy), 429 or 5xx, or did not answer
    │   │   └── AccessDenied            the app's identity is not accepted, or has not the role that it needs
    │   └── LeaseHeld                   somebody else holds the lease, or may by now
    ├── PermanentError                  no repeat will help: recorded as an end state with its reason
    │   ├── BadRequest                  somebody asks for what cannot be: the text names it, and what it may be
    │   ├── NotAllowed                  the settings do not allow what somebody asks for; the text names which
    │   ├── BadSnapshot                 what was dropped cannot be trained on
    │   │   └── BlobUnreadable          storage does not give a blob: archived, encrypted with a key, an odd name, ...
    │   ├── WorkerLost                  what was to be done ended the worker that did it, again and again
    │   ├── AzureRefused                Azure refused the request
    │   │   └── EndpointNameTaken       somebody else in the region has an endpoint of that name
    │   ├── InvalidName                 a name that would mean something else in an address, a path or a log line
    │   ├── AzureFailed                 Azure accepted a write, again and again, and did not carry it out
    │   ├── RowUnwritable               a row holds something that cannot be stored, such as half a character
    │   └── IllegalTransition           a write that the life-cycle table does not allow: a defect
    ├── LedgerConflict                  the row changed since it was read: read and decide again
    ├── BlocksMissing                   staged blocks are gone before they were committed: stage them again
    └── NotFound                        no such snapshot, dataset or blob
        └── ContainerNotFound           not even its container: somebody deleted that

Messages name the thing, the step, what was expected and what was found. Never secrets, never row contents.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of all errors the app raises on purpose."""


class TemporaryError(PipelineError):
    """Worth another try, `retry_after` seconds from now (None: the usual growing delay)."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(TemporaryError):
    """Nothing is wrong: something that was started in Azure is not ready yet."""


class ServiceBusy(TemporaryError):
    """An Azure service asked for patience or could not be reached."""


class AccessDenied(ServiceBusy):
    """The app's identity was not accepted, or has not the role it needs. New roles take minutes to count."""


# What AccessDenied says of a role that is missing begins so, behind the name of what was asked for.
DENIED = "the app's identity may not"


class LeaseHeld(TemporaryError):
    """Somebody else holds the lease of this row, or may by now: its holder goes on, nobody else needs to."""


class Damaged(NotReady):
    """A blob of the ledger is there and cannot be read. Whatever needs it waits until a person mends it."""

    def __init__(self, message: str, retry_after: float | None = None, blob: str = "", why: str = "") -> None:
        super().__init__(message, retry_after)
        self.blob, self.why = blob, why

    @classmethod
    def named(cls, blob: str, why: object) -> Damaged:
        """The error for a blob, `<container>/<name>`, and what is wrong with it."""
        text = str(why).encode("utf-8", "replace").decode()[:200]
        message = f"{blob} cannot be read: {text}; `python -m cli.ledger` mends it or sets it aside"
        return cls(message, 300.0, blob, text)


class PermanentError(PipelineError):
    """Repeating will not help; a person has to change something."""


class BadRequest(PermanentError):
    """What somebody asks for cannot be: the text names the parameter or field, and what it may be."""


class NotAllowed(PermanentError):
    """The settings of the app do not allow what somebody asks for: the text names the one that does."""


class BadSnapshot(PermanentError):
    """The dropped files cannot become a training run."""


class BlobUnreadable(BadSnapshot):
    """A dropped blob is there, and storage does not give its content to this app, or under this name."""


class WorkerLost(PermanentError):
    """An act ended the process that did it (memory, a crash, a time limit), too often to be tried once more."""


class AzureRefused(PermanentError):
    """Azure understood the request and refused it."""


class EndpointNameTaken(AzureRefused):
    """An endpoint's name has to be unique in the region, and is not: another one will do."""


class InvalidName(PermanentError):
    """A name that cannot be one: in an address, a path, a tag or a log line it would mean something else."""


class AzureFailed(PermanentError):
    """Azure accepted a write and did not carry it out: it failed too often, or took too long."""


class RowUnwritable(PermanentError):
    """A row cannot be stored as it is to be: it holds text or a number that JSON has no form for."""


class IllegalTransition(PermanentError):
    """A step tried a state change that the table does not have."""


class LedgerConflict(PipelineError):
    """The blob is not the one that was read, or exists where none was expected: read and decide again."""


class BlocksMissing(PipelineError):
    """Blocks that were staged are not there any more: Azure deletes those that nobody commits within a week."""


class NotFound(PipelineError):
    """Nothing is stored under that name."""


class ContainerNotFound(NotFound):
    """Somebody deleted the container, or the queue."""
