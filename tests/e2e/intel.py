"""An intelligence service over HTTP, on loopback: knows names with `known` in them, and can be down or hang."""

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "a token that nobody else has"


class Intel:
    """The service. `paths` are those of all requests, as they came; `refused` counts those without the token."""

    def __init__(self):
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._server = None
        self.port = 0
        self.up()

    def up(self):
        self._server = Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self):
        """Connections are refused from now on."""
        self.go_on()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def hang(self):
        """Requests are read, and not answered until `go_on`."""
        self._goes_on.clear()

    def go_on(self):
        self._goes_on.set()

    def asked(self, prefix: str) -> list[str]:
        """What was asked for below a path, in order."""
        return [path.removeprefix(prefix) for path in self.paths if path.startswith(prefix)]

    def take(self, handler: BaseHTTPRequestHandler):
        self.paths.append(handler.path)
        self.headers.append(dict(handler.headers.items()))
        self._goes_on.wait(30)
        if handler.path.startswith("/paid/") and handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refused += 1
            return 401, b"{}"
        if "known" not in handler.path:
            return 404, b""
        seen = time.strftime("%Y-%m-%d", time.gmtime())
        return 200, json.dumps({"hits": [{"verdict": "malicious", "seen": seen}]}).encode()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address, intel: Intel):
        self.intel = intel
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = self.server.intel.take(self)
        with suppress(OSError):  # who asked may be gone
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass
