"""Hosts of addresses as people write them: IPv4, IPv6 with and without brackets, names; where servers are bound, and
where they are reached."""

import ipaddress
import socket

LOCAL_V4, LOCAL_V6 = "127.0.0.1", "::1"
ANY_V4, ANY_V6 = "0.0.0.0", "::"  # nosec B104: compared with, or written where an operator has asked for it
ANY = (ANY_V4, ANY_V6, "*", "")


def bare(host: str) -> str:
    """Return a host without the brackets that addresses have around IPv6."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def bracketed(host: str) -> str:
    """Return a host as it stands before a port: IPv6 in brackets."""
    host = bare(host)
    return f"[{host}]" if ":" in host else host


def reachable(host: str) -> str:
    """Return where this machine reaches a server that is bound to `host`: of one that is bound to all, its loopback
    address."""
    host = bare(host)
    return {ANY_V4: LOCAL_V4, "*": LOCAL_V4, "": LOCAL_V4, ANY_V6: LOCAL_V6}.get(host, host)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's own, which others do not reach."""
    if bare(host) == "localhost":
        return True

    try:
        return ipaddress.ip_address(bare(host)).is_loopback
    except ValueError:
        return False


def own_loopback(host: str) -> str:
    """Return the loopback address of the same family as `host`, of a name that has both: that of IPv4."""
    return LOCAL_V6 if _is_v6(host) else LOCAL_V4


def bound_for(host: str) -> str:
    """Return where a server is to be bound that clients reach at `host`: at that very loopback address, else at every
    address of its family."""
    if is_loopback(host):
        return own_loopback(host) if bare(host) == "localhost" else bare(host)
    return ANY_V6 if _is_v6(host) else ANY_V4


def _is_v6(host: str) -> bool:
    """Return whether a host is an address of IPv6, or a name that has no other."""
    try:
        return ipaddress.ip_address(bare(host)).version == 6
    except ValueError:
        pass

    try:
        families = {family for family, *_ in socket.getaddrinfo(bare(host), None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False  # a name that is made known later: nothing is known of it yet

    return families == {socket.AF_INET6}
