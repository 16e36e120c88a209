"""ZeroMQ: the node's ROUTER, the gateway's DEALER, CURVE keys and the allow-list. The only importer of zmq.

A message is two frames, `[kind: 1 byte][msgpack body]`. The node drains its socket in batches; the key that the CURVE
handshake proved comes with every frame, so a gateway is identified by its key and by nothing in its messages.
"""

import contextlib
import errno
import itertools
import socket as sockets
import tomllib
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import zmq  # noqa: TID251
from zmq.auth.thread import ThreadAuthenticator  # noqa: TID251
from zmq.utils.monitor import recv_monitor_message  # noqa: TID251

from ..clock import MS, SECOND, WallClock, sleep_until, stopwatch
from ..errors import CloudctlError
from ..schema import MAX_BODY
from .handshakes import Mechanism, Refusal, mechanism_of, refusal_of
from .private_files import check_private, write_private

ZAP_DOMAIN = b"cloudctl"
KEY_LENGTH = 40  # characters of Z85
MAX_REFUSED = 1000  # unknown keys that are counted one by one; more are counted together
OTHERS = "(others)"
HIGH_WATER = 10_000  # messages that ZeroMQ queues per peer and direction; beyond it, receiving waits and sending fails
# A link that was cut is to serve again within 2 s: each end notices within 3 s that the other is gone, and then tries
# again about every second.
HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT = 1000, 2000  # ms between ZMTP pings, and to wait for an answer
CONNECT_TIMEOUT = 1000  # ms; the kernel's own second SYN goes out after 1 s, its further ones ever later
HANDSHAKE_TIMEOUT = 2000  # ms
RECONNECT_INTERVAL, MAX_RECONNECT_INTERVAL = 100, 400  # ms between attempts; ZeroMQ spreads them at random
REBIND_TIMEOUT = 2 * SECOND  # of a port that was just left
MIN_REBINDS = 20  # attempts at it, where the machine stood still for the time-out
USER_TIMEOUT = 4000  # ms that sent data may stay unacknowledged (TCP_USER_TIMEOUT, RFC 5482)


RETRY_INTERVAL = SECOND // 2  # ns from a handshake after which ZeroMQ does not try again to the next attempt

# ns between two looks at why a node breaks handshakes off; attempts come several times a second
DIAGNOSIS_INTERVAL = 5 * SECOND
CLOSED_BY_PEER = (errno.EPIPE, errno.ECONNRESET)  # of a handshake that was broken off, not one that took too long
HANDSHAKE_FAILURES = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class ZeroMqError(CloudctlError, RuntimeError):
    """A socket, key or address that cannot be used; the text says what to do."""


class KeyPair(NamedTuple):
    """A CURVE key pair, Z85 text. `secret` is empty where only the public half is known."""

    public: str
    secret: str


def new_keys() -> KeyPair:
    """Make a CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def write_keys(path: Path) -> KeyPair:
    """Make a key pair and write `path`.key (secret, mode 0600) and `path`.pub; never overwrites."""
    secret_file, public_file = path.with_suffix(".key"), path.with_suffix(".pub")
    for file in (secret_file, public_file):
        if file.exists():
            raise ZeroMqError(f"{file} exists; keys are never overwritten. Choose another name, or remove it first")

    keys = new_keys()
    write_private(secret_file, f'public = "{keys.public}"\nsecret = "{keys.secret}"\n'.encode())
    public_file.write_text(f'public = "{keys.public}"\n')
    return keys


def read_keys(path: Path) -> KeyPair:
    """Read a .key or .pub file. Raises ZeroMqError, and PrivateFileError for a secret key that others can read."""
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
        keys = KeyPair(table["public"], table.get("secret", ""))
    except FileNotFoundError:
        raise ZeroMqError(
            f"key file {path} does not exist. Make one with: cloudctl keys new {path.with_suffix('')}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise ZeroMqError(
            f"key file {path} is not readable as a key ({error}). Make one with: cloudctl keys new NAME"
        ) from None
    check_key(keys.public, str(path))
    if keys.secret:
        check_private(path)
    return keys


def check_key(key: str, where: str) -> None:
    """Raise ZeroMqError unless `key` is 40 characters of Z85."""
    try:
        zmq.utils.z85.decode(key.encode())
        is_key = len(key) == KEY_LENGTH
    except (ValueError, KeyError, OverflowError):
        is_key = False
    if not is_key:
        raise ZeroMqError(
            f"{where}: {key!r} is not a CURVE key (40 characters of Z85). Take it from a .pub file of: cloudctl "
            "keys new NAME"
        )


class Received(NamedTuple):
    """One message as it came: who sent it (public key, "" without CURVE), on which connection, what."""

    peer: bytes
    key: str
    kind: bytes
    body: bytes


class Server:
    """The node's side. `readable()` returns whether to `drain()`; `fd` is for an event loop.

    The keys of `allowed` are the public keys that may connect. Without `keys`, nothing is encrypted and every peer may
    connect: only for a closed test bench.
    """

    def __init__(self, bind: str, keys: KeyPair | None, allowed: Mapping[str, object]) -> None:
        self.refused: Counter[str] = Counter()  # handshakes refused, by public key
        self.public_key = keys.public if keys else ""
        self.malformed = 0
        # handshakes that failed for another reason than an unknown key: by that reason
        self.failed_handshakes: Counter[Refusal] = Counter()
        self._context = zmq.Context()
        self._allowed = allowed
        self._auth = self._authenticate() if keys else None
        self._socket = self._context.socket(zmq.ROUTER)
        self._monitor = _monitor(self._context, self._socket, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        # What is over MAX_BODY is refused with a reason; a peer whose message is far over it is disconnected.
        self._socket.setsockopt(zmq.MAXMSGSIZE, 2 * MAX_BODY)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # so that a reply to nobody is known to be lost
        _notice_cut_links(self._socket, bind)
        if keys:
            self._socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
            self._socket.curve_server = True
            self._socket.curve_publickey = keys.public.encode()
            self._socket.curve_secretkey = keys.secret.encode()
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise ZeroMqError(
                f"cannot listen on {bind}: {error}. Is another node running there? "
                "Choose another port under [node] bind, or stop it"
            ) from None
        self.address: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.fd = int(self._socket.getsockopt(zmq.FD))

    def _authenticate(self) -> ThreadAuthenticator:
        auth = ThreadAuthenticator(self._context)
        auth.start()
        auth.configure_curve_callback(ZAP_DOMAIN.decode(), self)
        return auth

    def callback(self, domain: str, key: bytes) -> bool:
        """Answer ZAP: is this public key on the list? (the name is the authenticator's)."""
        text = key.decode()
        if text in self._allowed:
            return True
        self.refused[text if text in self.refused or len(self.refused) < MAX_REFUSED else OTHERS] += 1
        return False

    def note_handshakes(self) -> None:
        """Take in which handshakes have failed since the last call."""
        while not self._monitor.closed and self._monitor.poll(0):
            reason = int(recv_monitor_message(self._monitor)["value"])
            if reason == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
                self.failed_handshakes[Refusal.WRONG_NODE_KEY] += 1
            elif reason == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                is_closed = self._auth is not None
                self.failed_handshakes[Refusal.GATEWAY_IN_CLEAR if is_closed else Refusal.NODE_IN_CLEAR] += 1

    def allow(self, allowed: Mapping[str, object]) -> None:
        """Put another list of public keys in place of the one in use; connections that are open stay, and are known
        by their keys as before.
        """
        self._allowed = allowed

    def change_keys(self, keys: KeyPair) -> None:
        """Listen with another key pair: connections end, and gateways that know the new public key come back. Raises
        ZeroMqError.

        A socket takes its keys when it begins to listen, and its port is free again only a moment after it has stopped.
        """
        self._socket.unbind(self.address)
        self.public_key = keys.public
        self._socket.curve_publickey = keys.public.encode()
        self._socket.curve_secretkey = keys.secret.encode()

        deadline = stopwatch() + REBIND_TIMEOUT
        for attempt in itertools.count():
            try:
                self._socket.bind(self.address)
            except zmq.ZMQError as error:
                if stopwatch() > deadline and attempt >= MIN_REBINDS:
                    raise ZeroMqError(f"cannot listen on {self.address} again: {error}. Start the node again") from None
                sleep_until(WallClock().now() + 5 * MS)
            else:
                return

    def readable(self) -> bool:
        """Return whether a message waits. Must be asked after every send and drain: the FD signals only changes."""
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def drain(self, limit: int = 512, limit_of_sender: int | None = None) -> list[Received]:
        """Return what waits, without blocking: at most `limit` messages, and none after the `limit_of_sender`th of one
        key (without CURVE: of one connection).

        ZeroMQ takes from the connections in turn: by then, each of the others has given as many, or all it had.
        """
        messages: list[Received] = []
        counts: dict[str | bytes, int] = {}
        receive = self._socket.recv
        try:
            while len(messages) < limit:
                peer = receive(zmq.NOBLOCK)
                # a frame knows whether another follows, the socket only by a call that costs more than receiving does
                frames = [receive(copy=False)]
                while frames[-1].more:
                    frames.append(receive(copy=False))
                if len(frames) != 2:
                    self.malformed += 1
                    kind, body = b"", b""
                else:
                    kind, body = frames[0].bytes, frames[1].bytes
                key = _proven_key(frames[-1])
                messages.append(Received(peer, key, kind, body))
                counts[key or peer] = count = counts.get(key or peer, 0) + 1
                if count == limit_of_sender:
                    break
        except zmq.Again:
            pass
        return messages

    def send(self, peer: bytes, kind: bytes, body: bytes) -> bool:
        """Send without blocking; False when the peer is gone or its queue is full."""
        try:
            self._socket.send_multipart((peer, kind, body), zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        if self._auth:
            self._auth.stop()
        self._context.term()


def _monitor(context: Any, socket: Any, events: int) -> Any:
    """Return where events of a socket are received. It queues without a limit: at one, ZeroMQ's own thread would wait
    for the reader, and every connection with it. Readers look once a second or more often."""
    address = f"inproc://monitor-{id(socket)}"
    socket.monitor(address, events)
    receiver = context.socket(zmq.PAIR)
    receiver.setsockopt(zmq.RCVHWM, 0)
    receiver.connect(address)
    return receiver


def _notice_cut_links(socket: Any, address: str) -> None:
    """Set what makes an end notice that the other is gone, and IPv6 where the address needs it."""
    for option, value in (
        (zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL),
        (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT),
        (zmq.HEARTBEAT_TTL, HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT),
        (zmq.TCP_MAXRT, USER_TIMEOUT),
        (zmq.IPV6, int(_needs_ipv6(address))),
    ):
        socket.setsockopt(option, value)


def _needs_ipv6(address: str) -> bool:
    """Return whether an address is one of IPv6, or a name that has no other: ZeroMQ would prefer IPv6 for every name,
    and not fall back.
    """
    host = address.removeprefix("tcp://").rpartition(":")[0]
    if host.startswith("["):
        return True
    try:
        sockets.getaddrinfo(host, None, sockets.AF_INET)
    except (OSError, UnicodeError):
        return host not in ("", "*")
    return False


def _proven_key(frame: Any) -> str:
    """Return the public key that the CURVE handshake of a frame's connection proved, "" without CURVE."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


class Dealer:
    """The gateway's side: one connection to a node, reconnecting by itself; `close()` sends what is queued and ends it.

    `only_connected` queues nothing while there is no connection: `send` is then False.
    """

    def __init__(
        self,
        connect: str,
        keys: KeyPair | None,
        node_key: str | None,
        high_water: int = 1000,
        *,
        only_connected: bool = False,
    ) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.SNDHWM, high_water)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_INTERVAL)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, MAX_RECONNECT_INTERVAL)
        self._socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT)
        self._socket.setsockopt(zmq.IMMEDIATE, int(only_connected))
        _notice_cut_links(self._socket, connect)
        if keys:
            check_key(node_key or "", "node_key")
            self._socket.curve_publickey = keys.public.encode()
            self._socket.curve_secretkey = keys.secret.encode()
            self._socket.curve_serverkey = (node_key or "").encode()
        events = HANDSHAKE_FAILURES | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        self._monitor = _monitor(self._context, self._socket, events)
        self.refusal: Refusal | None = None  # why the last handshake failed, where that is known
        self._address, self._has_keys = connect, keys is not None
        self._diagnosis: Refusal | None = None
        self._next_diagnosis = 0
        self._next_attempt: int | None = None  # ns by the stopwatch; None: ZeroMQ tries again by itself
        self.close = weakref.finalize(self, _end, self._socket, self._monitor, self._context)
        try:
            self._socket.connect(connect)
        except zmq.ZMQError as error:
            self.close()
            raise ZeroMqError(
                f"cannot connect to {connect!r}: {error}. An address looks like tcp://host:7788"
            ) from None

    def send(self, kind: bytes, body: bytes) -> bool:
        """Queue a message without blocking; False when the queue is full (the message is not sent)."""
        try:
            self._socket.send_multipart((kind, body), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self, timeout_ms: int = 0) -> tuple[bytes, bytes] | None:
        """Return the next (kind, body) from the node, or None when nothing came in `timeout_ms`."""
        if not self._socket.poll(timeout_ms):
            return None
        frames = self._socket.recv_multipart()
        return (frames[0], frames[1]) if len(frames) == 2 else None

    def events(self, on_event: Callable[[str], None]) -> None:
        """Call `on_event` with "connected", "disconnected" or "refused" for each change since the last call; where it
        was refused, `refusal` says why."""
        names: dict[int, str] = {zmq.EVENT_HANDSHAKE_SUCCEEDED: "connected", zmq.EVENT_DISCONNECTED: "disconnected"}
        while self._monitor.poll(0):
            message = recv_monitor_message(self._monitor)
            event = int(message["event"])
            if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._next_attempt = stopwatch() + RETRY_INTERVAL

            if event & HANDSHAKE_FAILURES:
                self.refusal = self._refusal(event, int(message["value"]))
                on_event("refused" if self.refusal else "disconnected")
            else:
                on_event(names[event])

        if self._next_attempt is not None and stopwatch() >= self._next_attempt:
            self._connect_anew()

    def _connect_anew(self) -> None:
        """Try again where ZeroMQ does not: it gives a peer up that speaks another mechanism, until its operator has
        mended that and for ever after."""
        self._next_attempt = None
        with contextlib.suppress(zmq.ZMQError):  # it may be given up already
            self._socket.disconnect(self._address)
        self._socket.connect(self._address)

    def _refusal(self, event: int, detail: int) -> Refusal | None:
        """Return why a handshake has failed; None where the keys are not the reason: the node went away in it."""
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return Refusal.UNKNOWN_KEY
        if detail == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return refusal_of(Mechanism.NULL if self._has_keys else Mechanism.CURVE, self._has_keys)
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL and detail not in CLOSED_BY_PEER:
            return None

        now = stopwatch()
        if now >= self._next_diagnosis:
            self._next_diagnosis = now + DIAGNOSIS_INTERVAL
            self._diagnosis = refusal_of(mechanism_of(self._address), self._has_keys)
        return self._diagnosis


def _end(socket: Any, monitor: Any, context: Any) -> None:
    """Send what is queued (LINGER at most), and let go; also when its owner is forgotten or the process ends."""
    socket.disable_monitor()
    monitor.close(0)
    socket.close()
    context.term()
