"""Whether settings are right, before an app is started with them: `droptune settings [NAME ...]`.

The settings are in the environment, as the app will read them; names on the command line are those that a person gave
one by one (`--set` of the local cloud), which must be settings, or known to the platform. What is wrong is told without
a traceback. A repeat says the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from shared.config import names
from shared.config.settings import SettingsError, load, setting_names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; its status."""
    given = sys.argv[1:] if arguments is None else arguments
    wrong = [names.in_words(*found) for found in names.unknown(given, setting_names())]
    try:
        load()
    except SettingsError as error:
        wrong = [*(text for text in wrong if text not in str(error)), str(error)]
    for text in wrong:
        print(text, file=sys.stderr)
    if not wrong:
        print("the settings are right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
