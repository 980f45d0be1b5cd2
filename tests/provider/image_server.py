"""Serves one image as Cyclades does, and breaks down as told."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "a-token"


class ImageServer:
    """`faults` are what the next answers are instead: a status, or "cut" in their middle; `pieces` is where each
    piece began that was asked for."""

    def __init__(self, body: bytes, url: str) -> None:
        self.body, self.url = body, url
        self.faults: list[int | str] = []
        self.pieces: list[int] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("X-Auth-Token") != TOKEN:
            return request.send_error(401)
        place = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        assert place is not None
        begin, end = int(place[1]), min(int(place[2]) + 1, len(self.body))
        self.pieces.append(begin)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            request.send_response(fault)
            request.send_header("Location", self.url)
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(self.body)}")
        request.send_header("Content-Length", str(end - begin))
        request.end_headers()
        if fault == "cut":
            end -= (end - begin) // 2
            request.close_connection = True
        request.wfile.write(self.body[begin:end])
        return None


@contextmanager
def serving(body: bytes) -> Iterator[ImageServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            image.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        image = ImageServer(body, f"http://127.0.0.1:{server.server_port}/image/v2/images/x/file")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield image
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with serving(Path(sys.argv[1]).read_bytes()) as served:
        print(served.url, flush=True)
        threading.Event().wait()
