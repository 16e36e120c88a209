"""MQTT 3.1.1 over a plain socket, at QoS 0, for load generators: packets made beforehand go out in bursts, and what
comes is stamped with its arrival and read when the measurement is over. A client library would cost more than what is
measured."""

import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

from cloudctl.clock import WallClock

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x82, 0x90
CLEAN_SESSION, NO_KEEPALIVE, LEVEL = 2, b"\0\0", 4
CHUNK = 1 << 18  # bytes that are read at once
TIMEOUT = 10.0  # s for an answer of the broker


class Arrival(NamedTuple):
    """A message, and when its last byte was read, ns."""

    t: int
    topic: str
    payload: bytes


class PlainMqtt:
    """A connection to a broker on this machine."""

    def __init__(self, port: int, client_id: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        header = _text("MQTT") + bytes((LEVEL, CLEAN_SESSION)) + NO_KEEPALIVE
        self._socket.sendall(_packet(CONNECT, header + _text(client_id)))
        self._expect(CONNACK)
        self._chunks: list[tuple[int, bytes]] = []

    def send(self, packets: bytes) -> None:
        """Send packets of `publish_packet`, one after another."""
        self._socket.sendall(packets)

    def collect(self, topic: str) -> None:
        """Subscribe, and keep what comes in the background."""
        self._socket.sendall(_packet(SUBSCRIBE, b"\0\1" + _text(topic) + b"\0"))
        self._expect(SUBACK)
        self._socket.settimeout(None)
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        """End the connection."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what has come."""
        waiting = b""
        for time_ns, chunk in list(self._chunks):
            waiting += chunk
            start = 0
            while (packet := _next_packet(waiting, start)) is not None:
                kind, first, start = packet
                if kind & 0xF0 == PUBLISH:
                    length = int.from_bytes(waiting[first : first + 2], "big")
                    topic = waiting[first + 2 : first + 2 + length].decode()
                    yield Arrival(time_ns, topic, waiting[first + 2 + length : start])

            waiting = waiting[start:]

    def _read(self) -> None:
        clock = WallClock()
        try:
            while chunk := self._socket.recv(CHUNK):
                self._chunks.append((clock.now(), chunk))
        except OSError:
            return  # it was closed

    def _expect(self, kind: int) -> None:
        answer = self._socket.recv(1)
        if answer != bytes((kind,)):
            raise OSError(f"the broker answers with {answer.hex() or 'nothing'}, not with {kind:x}")
        self._socket.recv(1 + self._socket.recv(1)[0] - 1)


def publish_packet(topic: str, payload: bytes) -> bytes:
    """Return a message at QoS 0 as it goes to the broker."""
    return _packet(PUBLISH, _text(topic) + payload)


def _packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, digit = size >> 7, size & 0x7F
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes((kind,)) + bytes(length) + body


def _next_packet(data: bytes, start: int) -> tuple[int, int, int] | None:
    """Return the kind of the packet at `start`, where its body begins and where it ends; None where it is not whole."""
    size, offset = 0, start + 1
    while offset < len(data):
        size |= (data[offset] & 0x7F) << 7 * (offset - start - 1)
        offset += 1
        if not data[offset - 1] & 0x80:
            return (data[start], offset, offset + size) if offset + size <= len(data) else None

    return None


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
