"""Whoever is paged."""

import http.server
import json
import threading


class Receiver:
    """PagerDuty's Events API v2, a webhook and a dead man's switch, as far as they are asked."""

    def __init__(self):
        self.got = []
        self.statuses = []  # of the next answers; then 202
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = receiver.statuses.pop(0) if receiver.statuses else 202
                receiver.got.append((self.command, self.path, json.loads(body or b"null"), status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self, path):
        return [body for _, at, body, status in list(self.got) if at == path and status < 300]

    def actions(self, path, key):
        """What was told of an alarm, in order."""
        names = ("event_action", "dedup_key") if path == "/v2/enqueue" else ("action", "key")
        return [b[names[0]] for b in self.bodies(path) if b[names[1]] == key]

    def end(self):
        self.server.shutdown()
        self.server.server_close()
