"""Stands in for a service: answers /readyz, tells its settings, and obeys SIGTERM."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        settings = {k: v for k, v in os.environ.items() if k.startswith("UPDRAFT_")}
        self.wfile.write(json.dumps(settings).encode())

    def log_message(self, *_):
        pass


sys.stdout.write("the dummy has started\n")
sys.stdout.flush()
HTTPServer(("127.0.0.1", int(os.environ["UPDRAFT_HTTP__PORT"])), Handler).serve_forever()
