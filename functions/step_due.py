"""A row may move (queue `due`): move it by one step."""

from __future__ import annotations

import logging
import sys

import azure.functions as func

from shared import runtime
from shared.azure.storage import QUEUE

blueprint = func.Blueprint()
log = logging.getLogger(__name__)

# Checks of rows keep the interpreter busy while the same process answers questions: whoever waits for it gets it after
# so long (s), Python's own time being 5 ms (docs/decisions/answers-beside-checks.md).
sys.setswitchinterval(0.001)


@blueprint.queue_trigger(arg_name="message", queue_name=QUEUE, connection="DATA")
def step_due(message: func.QueueMessage) -> None:
    """The message is the key of a row; `?` at its end: whatever was planned, look now; `#<number>@...`: a part of it;
    `!`: people are to be told of it."""
    from shared.operations import steps

    text = message.get_body().decode()
    log.debug("%s: %s", text, steps.step(runtime.services(), text))
