"""Run a command while holding a file lock: `hold_lock.py FILE COMMAND...`; called by setup.sh.

Written for any Python, because it runs before the project has its own. The lock goes to the command itself and to
its children, so it is held exactly as long as one of them lives, however they end.
"""

import fcntl
import os
import sys


def main(path, command):
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.fcntl(lock, fcntl.F_SETFD, 0)  # Python 3 would close it on exec
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write("Another set-up of this checkout is at work; waiting for it.\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.execvp(command[0], command)


main(sys.argv[1], sys.argv[2:])
