"""An OIDC issuer that gives tokens for client credentials, for one test run."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote_plus

from deploy.local.issuer import SigningKey
from deploy.local.process import free_port


class TokenIssuer:
    """Serves `/jwks.json` and `/token` on 127.0.0.1; `clients` maps ids to secrets."""

    def __init__(
        self, folder: Path, clients: dict[str, str], tls: tuple[Path, Path] | None = None
    ) -> None:
        self.key = SigningKey.kept_in(folder / "issuer.key")
        # What is published stays, also while a test signs by another key.
        keys = {"keys": [self.key.public_jwk]}
        self.clients = clients
        self.lifetime = timedelta(minutes=5)
        self.given: list[str] = []
        self.down = False
        port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, keys)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if self.path == "/elsewhere":
                    self.send_response(302)
                    self.send_header("Location", f"{issuer.url}/token")
                    self.end_headers()
                elif issuer.down:
                    self._send(503, {})
                else:
                    self._send(*issuer.answer(self.headers.get("Authorization", ""), body))

            def _send(self, status: int, document: object) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def answer(self, authorization: str, body: str) -> tuple[int, dict[str, object]]:
        """The answer to a request for a token."""
        decoded = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        client, _, secret = (unquote_plus(part) for part in decoded.partition(":"))
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if not secret or self.clients.get(client) != secret:
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        self.given.append(f"{client} {form.get('scope', '')}".rstrip())
        token = self.key.mint(self.url, client, lifetime=self.lifetime)
        seconds = self.lifetime.total_seconds()
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": seconds}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
