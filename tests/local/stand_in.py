"""A small process that stands in for a part of the cloud in tests of the supervision: `stand_in.py PORT [option]`.

Options: `child` starts a process of its own and names it in the log; `stubborn` ignores SIGTERM; `fails` says why
and ends; `silent` never answers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers that all is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("GREETING", "").encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def main(port: int, option: str) -> None:
    if option == "fails":
        sys.exit("there is no bread")
    if option == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if option == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        print("child", child.pid, flush=True)
    if option == "silent":
        time.sleep(600)
    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
