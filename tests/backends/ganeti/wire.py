"""An HTTPS server that answers as Ganeti's RAPI does, and in the ways that no real cluster can be made to: the shapes
are those that were recorded of Ganeti 3.1."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cyclades.backends.ganeti import Access

USER, PASSWORD = "writer", "very-secret"


@dataclass(frozen=True)
class Asked:
    """A request; `path` has its query."""

    method: str
    path: str
    body: Any


# Raised by an answer: the connection ends without one.
class BreakOff(Exception):
    pass


Answer = Callable[[Asked], Any]


@dataclass
class Wire:
    """`answer` says what each request gets: what is sent as JSON with 200 (once it is there), or an `Explained`
    error."""

    certificate: str
    answer: Answer
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    raw: bytes | None = None  # sent instead, as it is

    @property
    def access(self) -> Access:
        return Access(url=self.url, user=USER, password=PASSWORD, certificate=self.certificate)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            answer = self.answer(asked)
            status, content = 200, json.dumps(await answer if isawaitable(answer) else answer).encode()
        except Explained as error:
            status = error.status
            content = json.dumps({"code": status, "message": error.message, "explain": "As ever."}).encode()
        except (BreakOff, asyncio.IncompleteReadError):
            writer.transport.abort()
            return
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + content if self.raw is None else self.raw)
        await writer.drain()
        writer.close()


class Explained(Exception):
    """An error as RAPI has it in its body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
    body = json.loads(await reader.readexactly(length)) if length else None
    method, path, _ = first.split(" ")
    return Asked(method, path, body)


def certify(directory: Path, name: str = "ganeti.example.com") -> tuple[str, ssl.SSLContext]:
    """A self-signed certificate as Ganeti makes its own (a common name, no other), and who shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = directory / "rapi.pem"
    file.write_bytes(secret + pem.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return pem, context
