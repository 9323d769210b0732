"""A receiver of webhooks: a real HTTP server on loopback that verifies what it gets."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from models.errors import AccessError
from models.events.webhook import verified


@dataclass
class Receiver:
    """`events`: what was taken, each once, in order. answers: statuses for the next requests, 204
    when there is none left; extra: headers of every answer."""

    secret: bytes
    answers: list[int] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    repeated: int = 0
    forged: int = 0
    peers: set[Any] = field(default_factory=set)

    def __enter__(self) -> "Receiver":
        receiver, seen = self, set[str]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                receiver.peers.add(self.client_address)
                status = receiver.answers.pop(0) if receiver.answers else 204
                try:
                    message_id = verified(receiver.secret, headers, body, int(time.time()))
                except AccessError:
                    receiver.forged += 1
                    status = 401
                if status == 204:
                    receiver.repeated += message_id in seen
                    if message_id not in seen:
                        seen.add(message_id)
                        receiver.events.append(json.loads(body))
                self.send_response(status)
                for name, value in receiver.extra.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", str(len(receiver.body)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(receiver.body)

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def ids(self) -> list[str]:
        """Event ids in the order in which they were first taken."""
        return [event["id"] for event in self.events]
