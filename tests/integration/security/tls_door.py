"""TLS before a Postgres that was built without it, as a pooler has it in production.

The wheel's server speaks no TLS; what is tested is our side of the connection.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from deploy.local.postgres import PostgresServer
from tests.certificates import Authority

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass
class TlsDoor:
    """Answers on 127.0.0.1 for a server, with a certificate of its authority."""

    server: PostgresServer
    folder: Path
    asks_for_certificate: bool = False
    authority: Authority = field(default_factory=lambda: Authority.new("database authority"))
    ways: list[str] = field(default_factory=list)
    """How each connection came: `tls` or `clear`."""

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def dsn(self, server_dsn: str | None = None, *, host: str = "127.0.0.1") -> str:
        """A connection string of the server, by this door."""
        parts = urlsplit(server_dsn or self.server.superuser_dsn)
        login = f"{parts.username}:{parts.password}"
        return parts._replace(netloc=f"{login}@{host}:{self._port}").geturl()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file.write_text(self.authority.pem)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca_file)
        self._context.load_cert_chain(*self.authority.issue("postgres").write(self.folder))
        if self.asks_for_certificate:
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._let_in, args=(caller,), daemon=True).start()

    def _let_in(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            first = caller.recv(8, socket.MSG_WAITALL)
            inside = socket.create_connection(("127.0.0.1", self.server.port))
            if first == _SSL_REQUEST:
                caller.sendall(b"S")
                caller = self._context.wrap_socket(caller, server_side=True)
                self.ways.append("tls")
            else:
                self.ways.append("clear")
                inside.sendall(first)
            threading.Thread(target=_carry, args=(inside, caller), daemon=True).start()
            _carry(caller, inside)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    # Whichever side ends ends both.
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
