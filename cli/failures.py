"""How a command ends when it cannot do what was asked: one sentence, the next step, and an exit status for scripts."""

from __future__ import annotations

from enum import IntEnum

from shared.errors import AccessDenied, TemporaryError


class Exit(IntEnum):
    """Exit statuses of `droptune`. 2 is also what the command line itself gives for a misspelt option."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_ACCESS = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "done, or what was waited for is there",
    Exit.FAILED: "what was asked for failed or was declined: rows refused, training failed, withheld by the gate, ...",
    Exit.USAGE: "the command line is wrong, or no app is known",
    Exit.NOT_FOUND: "there is nothing of that name: no file, dataset, snapshot or model",
    Exit.NO_ACCESS: "the key or the sign-in to storage was refused, or a setting of the app does not allow it",
    Exit.UNREACHABLE: "the app, its storage or the Hub did not answer: try again later",
    Exit.INTERRUPTED: "interrupted; what was begun goes on in the app",
}


def in_a_sentence(failure: Exception) -> str:
    """Why something failed; of a file, which one."""
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror
    return str(failure)


def first_line(failure: Exception) -> str:
    """What an error of a library says first: some say pages, some nothing."""
    return (str(failure).splitlines() or [type(failure).__name__])[0][:200]


def status_of(failure: Exception) -> Exit:
    """How a command ends that something kept from its work: with the failure's own status, if it has one."""
    match failure:
        case CommandFailed():
            return failure.status
        case FileNotFoundError():
            return Exit.NOT_FOUND
        case AccessDenied():
            return Exit.NO_ACCESS
        case TemporaryError():
            return Exit.UNREACHABLE
    own = getattr(failure, "status", None)
    return own if isinstance(own, Exit) else Exit.USAGE


class CommandFailed(Exception):
    """Ends the command with a status. The text is one sentence and says what to do next."""

    def __init__(self, status: Exit, text: str) -> None:
        super().__init__(text)
        self.status = status
