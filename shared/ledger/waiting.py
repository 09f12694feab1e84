"""How what waits for its turn is kept from taking the time of what goes on.

Hundreds of rows may wait for a limit, and as many may be overdue behind a full queue. Whoever waits long asks less and
less often; and an overdue row is sent one more message only after it has been overdue twice as long.
"""

from __future__ import annotations

# The longest pause (s): limits are settings and may be raised, and nobody tells of that.
LONGEST_PAUSE = 900.0
# Overdue rows that are remembered; more are forgotten all at once, and sent one message too many.
_REMEMBERED = 50_000


def pause(waited: float, least: float, share: float = 0.25) -> float:
    """Seconds until what has waited so long (s) for its turn looks again: that share of it; at least `least`."""
    return max(least, min(waited * share, LONGEST_PAUSE))


class Reminders:
    """For which planned polls that nothing came of a message was sent already, in this process.

    A queue that is behind makes rows overdue. If each look sent each of them another message, the queue would fill by
    being full. Lost with the process: then one message is sent too many.
    """

    def __init__(self) -> None:
        self._sent: dict[str, tuple[float, float]] = {}

    def wanted(self, key: str, planned: float, now: float, patience: float = 0.0) -> bool:
        """Whether a row that was to be polled at `planned` is sent a message now; it is taken as sent then.

        `patience`: not before it is so late (s).
        """
        was_planned, sent = self._sent.get(key, (0.0, 0.0))
        sent_late = sent - planned if was_planned == planned else 0.0
        if now - planned < max(patience, 2 * sent_late):
            return False
        if len(self._sent) >= _REMEMBERED:
            self._sent.clear()
        self._sent[key] = (planned, now)
        return True
