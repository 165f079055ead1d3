"""A server of raw sockets in threads: a test says byte by byte what each connection gets, and when.

It runs while the event loop of the client is blocked or stopped, as a real server does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.stub import NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Seen:
    """One request, as it came."""

    connection: int
    method: str
    path: str
    body: bytes

    @property
    def id(self) -> int:
        """The id in the path."""
        return int(self.path.rpartition("/")[2])


@dataclass(eq=False)
class RawConnection:
    """One connection, in a thread of its own."""

    number: int
    sock: socket.socket
    requests: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def read(self) -> Seen | None:
        """Wait for the next request; None: the client has hung up."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                return None
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
        while len(data) < length:
            more = self.sock.recv(65536)
            if not more:
                return None
            data += more
        self._rest = data[length:]
        self.requests += 1
        method, path, _ = lines[0].split(" ", 2)
        return Seen(self.number, method, path, data[:length])

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    def hold(self) -> None:
        """Take every byte and answer nothing, until the client hangs up."""
        while self.sock.recv(65536):
            pass


class RawServer:
    """Serves each connection with `serve`, which by default answers every request."""

    def __init__(
        self, serve: Callable[[RawConnection], None] | None = None, *, tls: ssl.SSLContext | None = None, host: str = ""
    ) -> None:
        self._serve = serve or self.answer_all
        self._tls = tls
        self._listener = socket.create_server((host or "127.0.0.1", 0), backlog=512)
        self.requests: list[Seen] = []
        self.connections: list[RawConnection] = []
        self.errors: list[BaseException] = []
        self._closing = False

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        assert self.errors == []

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._meet, args=(sock, len(self.connections)), daemon=True).start()
            self.connections.append(RawConnection(len(self.connections), sock))

    def _meet(self, sock: socket.socket, number: int) -> None:
        while len(self.connections) <= number:
            pass
        connection = self.connections[number]
        try:
            if self._tls is not None:
                connection.sock = self._tls.wrap_socket(sock, server_side=True)
            self._serve(connection)
        except OSError:
            pass
        except BaseException as error:
            if not self._closing:
                self.errors.append(error)
        finally:
            connection.close()

    def next(self, connection: RawConnection) -> Seen | None:
        """Read and record the next request of a connection."""
        seen = connection.read()
        if seen is not None:
            self.requests.append(seen)
        return seen

    def answer_all(self, connection: RawConnection) -> None:
        """Answer every request with the number asked for."""
        while (seen := self.next(connection)) is not None:
            connection.send(answer(seen.id))


def answer(number: int, *, head: str = "", status: str = "200 OK") -> bytes:
    """Return an answer that shows a number; its label is its id, as the tests set it."""
    body = json.dumps({**NUMBER, "id": number, "label": str(number), "success": True}).encode()
    lines = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    return lines.encode() + body


def anonymous_tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and its client, without certificates: they are not what is tested."""
    sides = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    sides[1].check_hostname, sides[1].verify_mode = False, ssl.CERT_NONE
    for context in sides:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    return sides
