"""A TCP link on this machine that tests cut and mend."""

import contextlib
import queue
import socket
import threading

from cloudctl.clock import SECOND, WallClock, sleep_until, stopwatch


class Link:
    """A TCP link to a port, that can be cut and mended. `delay`: s that every byte is on its way."""

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self._to, self._is_cut, self._delay = port, False, delay
        self.port = 0
        self._sockets: list[socket.socket] = []
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            if self._is_cut:
                here.close()
                continue
            try:
                there = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                here.close()
                continue
            self._sockets += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        on_way: queue.Queue[tuple[int, bytes]] = queue.Queue()
        arriving = threading.Thread(target=self._arrive, args=(on_way, other), daemon=True)
        arriving.start()
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                on_way.put((stopwatch() + int(self._delay * SECOND), data))
        on_way.put((stopwatch(), b""))
        arriving.join()
        for end in (one, other):
            end.close()

    @staticmethod
    def _arrive(on_way: "queue.Queue[tuple[int, bytes]]", other: socket.socket) -> None:
        while (item := on_way.get())[1]:
            due, data = item
            if (left := due - stopwatch()) > 0:
                sleep_until(WallClock().now() + left)
            with contextlib.suppress(OSError):
                other.sendall(data)

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._is_cut = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def mend(self) -> None:
        """Let connections be made again; nothing where it is not cut."""
        if self._is_cut:
            self._is_cut = False
            self._listen()

    def close(self) -> None:
        self.cut()
