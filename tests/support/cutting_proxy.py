"""A proxy before a database server that loses the answer to a COMMIT, or the COMMIT itself, when it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from sqlalchemy import make_url

PORTS = {"postgresql": 5432, "mysql": 3306}


class CuttingProxy:
    """Forwards to a server.

    Args:
        url: The server's database.
    """

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._cut: str | None = None
        self.reachable = True
        """Whether new connections are let through."""
        self.cuts = 0
        """How many connections were cut."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The database through the proxy."""
        host, port = self._server.getsockname()
        return self._target.set(host=host, port=port).render_as_string(hide_password=False)

    def cut(self, when: str) -> None:
        """Cut the connection of the next COMMIT: `before` the server gets it, or `after` it has answered."""
        self._cut = when

    def close(self) -> None:
        for one in (self._server, *self._sockets):
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if not self.reachable:
                    client.close()
                    continue
                port = self._target.port or PORTS[self._target.get_backend_name()]
                server = socket.create_connection((self._target.host or "127.0.0.1", port))
                self._sockets += [client, server]
                muted = threading.Event()
                for pump in (self._up, self._down):
                    threading.Thread(target=pump, args=(client, server, muted), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._cut is not None and b"COMMIT" in data.upper():
                    when, self._cut = self._cut, None
                    self.cuts += 1
                    if when == "before":
                        break
                    muted.set()
                server.sendall(data)
        if not muted.is_set():
            _end(client, server)

    def _down(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if muted.is_set():  # the server has answered, and nobody hears it
                    break
                client.sendall(data)
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextlib.contextmanager
def cutting(url: str) -> Iterator[CuttingProxy]:
    """A proxy before a server for the length of a block."""
    proxy = CuttingProxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
