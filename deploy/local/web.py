"""The least of a web server for the stack's own small pages, and the least of a client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_LOCAL_NAMES = ("127.0.0.1", "localhost")
_LARGEST_BODY = 65_536


@dataclass(frozen=True)
class Request:
    """What a page needs to know of an HTTP request."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What a page answers."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(document: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(json.dumps(document, indent=2).encode(), "application/json", status)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(port: int, answer: Callable[[Request], Reply]) -> _Server:
    """Serve `answer` on 127.0.0.1 from a background thread; `shutdown()` ends it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "updraft-local"
        sys_version = ""

        def _answer(self) -> None:
            name = re.sub(r":\d+$", "", self.headers.get("Host", ""))
            if name not in _LOCAL_NAMES:
                # Otherwise a page of another site could reach us by DNS rebinding.
                self._send(Reply(b"only for 127.0.0.1\n", "text/plain", 421))
                return
            length = self.headers.get("Content-Length", "0")
            if not length.isdecimal() or int(length) > _LARGEST_BODY:
                self.close_connection = True
                self._send(Reply(b"body too large\n", "text/plain", 413))
                return
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(length))
            self._send(answer(Request(self.command, url.path, query, body)))

        def _send(self, reply: Reply) -> None:
            with contextlib.suppress(ConnectionError):
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                self.send_header("X-Content-Type-Options", "nosniff")
                self.send_header("Referrer-Policy", "no-referrer")
                self.send_header("Cache-Control", "no-store")
                for header, value in reply.headers.items():
                    self.send_header(header, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: addresses carry personal data."""

    server = _Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    return server


async def http_status(port: int, path: str, timeout_seconds: float = 2.0) -> int | None:
    """The status of `GET path` on 127.0.0.1; None if nobody answers."""
    with contextlib.suppress(OSError, ValueError, IndexError, TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                line = await reader.readline()
                return int(line.split()[1])
            finally:
                writer.close()
    return None
