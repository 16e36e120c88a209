"""Free TCP ports of this machine.

They are taken from below those that the kernel gives to outgoing connections (ip_local_port_range, the dynamic ports of
RFC 6335). There, any connection of any program may get a port as its own end between its choice and the moment its
server listens, and one that is tried again and again towards that very port may even be connected to itself.
"""

import secrets
import socket
from pathlib import Path
from typing import Any

LOWEST = 15_000  # above nearly all ports that programs listen on by default
HIGHEST = 65_535  # programs that run side by side may each keep to a range of their own
DYNAMIC_FROM = 32_768  # where the kernel does not say: that of Linux, and below those of others
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
ATTEMPTS = 1000
MAX_GIVEN = 5000  # that are remembered

_given: dict[int, None] = {}  # by this process: what was given may not be listened on yet


def free_port(host: str = "127.0.0.1", count: int = 1) -> int:
    """Return a TCP port that is free on `host` now, or the first of `count` in a row; none is given twice.

    Raises OSError where `host` is no address, or no port is free.
    """
    family, *_, address = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    span = min(_first_dynamic(), HIGHEST + 1) - LOWEST - count

    for _ in range(ATTEMPTS):
        if span <= 0:
            ports = _any_free(family, address, count)
        else:
            first = LOWEST + secrets.randbelow(span)
            ports = range(first, first + count)

        if not any(port in _given for port in ports) and all(_is_free(family, address, port) for port in ports):
            _remember(ports)
            return ports[0]

    raise OSError(f"no {count} TCP port(s) in a row are free on {host or 'this machine'}")


def _first_dynamic() -> int:
    try:
        return int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return DYNAMIC_FROM


def _any_free(family: socket.AddressFamily, address: Any, count: int) -> range:
    """Return ports that the kernel chooses: where it gives all of them to outgoing connections."""
    with socket.socket(family) as probe:
        probe.bind((address[0], 0, *address[2:]))
        first = int(probe.getsockname()[1])
    return range(first, first + count)


def _is_free(family: socket.AddressFamily, address: Any, port: int) -> bool:
    with socket.socket(family) as probe:
        try:
            probe.bind((address[0], port, *address[2:]))
        except (OSError, OverflowError):
            return False
    return True


def _remember(ports: range) -> None:
    for port in ports:
        _given[port] = None
    while len(_given) > MAX_GIVEN:
        del _given[next(iter(_given))]
