"""What of a node is open to strangers: settings of TLS that are incomplete are faults, what is open on purpose is
named at each start.
"""

from collections.abc import Iterator
from pathlib import Path

from ..io.addresses import is_loopback
from ..io.private_files import check_private
from ..settings import BrokerSection, HttpSection, NodeSection


def tls_faults(broker: BrokerSection) -> Iterator[str]:
    """Yield each reason for which the broker's TLS settings cannot be used, with the remedy; nothing is ever run in
    clear instead.
    """
    if (broker.tls_cert is None) != (broker.tls_key is None):
        missing = "tls_key" if broker.tls_key is None else "tls_cert"
        yield f"[broker] {missing} is missing: tls_cert and tls_key belong together. Name both, or neither"

    if (broker.tls_cert or broker.tls_key) and broker.tls_ca is None:
        yield (
            "[broker] tls_ca is missing: with tls_cert and tls_key, it names the authority of the broker's "
            "certificate. Add it"
        )

    if (broker.server_cert is None) != (broker.server_key is None):
        missing = "server_key" if broker.server_key is None else "server_cert"
        yield f"[broker] {missing} is missing: server_cert and server_key belong together. Name both, or neither"

    if broker.server_cert and broker.server_key and not broker.embedded:
        yield (
            "[broker] server_cert and server_key are of an embedded broker, and embedded = false. "
            "Write embedded = true, or give them to the broker that runs elsewhere"
        )

    if broker.embedded and broker.server_cert and not (broker.tls_ca and broker.tls_cert and broker.tls_key):
        yield (
            "[broker] tls_ca, tls_cert and tls_key are missing: an embedded broker with server_cert asks every client, "
            "the node too, for a certificate of tls_ca. Name all three"
        )

    if broker.server_crl and not broker.server_cert:
        yield "[broker] server_crl is of an embedded broker with server_cert and server_key. Name them, or leave it out"

    if (broker.username is None) != (broker.password is None):
        missing = "password" if broker.password is None else "username"
        yield f"[broker] {missing} is missing: username and password belong together. Name both, or neither"


def open_faults(broker: BrokerSection) -> Iterator[str]:
    """Yield the reason for which the broker is neither closed by TLS nor open by an explicit line, or is both."""
    is_closed = bool(broker.server_cert) if broker.embedded else broker.tls_ca is not None
    settings = (broker.tls_ca, broker.tls_cert, broker.tls_key, broker.server_cert, broker.server_key)
    if broker.open and any(settings):
        yield "[broker] open = true contradicts its TLS settings. Leave open out, or the TLS settings"

    if not broker.open and not is_closed:
        names = "server_cert, server_key, tls_ca, tls_cert and tls_key" if broker.embedded else "tls_ca"
        yield (
            f"[broker] has no TLS: anyone could follow every vehicle and publish what stops it. Name {names} "
            '("cloudctl init FOLDER" makes them all), or write open = true on a closed test bench'
        )


def http_faults(http: HttpSection) -> Iterator[str]:
    """Yield each reason for which the HTTP settings cannot be used."""
    if (http.tls_cert is None) != (http.tls_key is None):
        missing = "tls_key" if http.tls_key is None else "tls_cert"
        yield f"[http] {missing} is missing: tls_cert and tls_key belong together. Name both, or neither"

    if http.open and http.tls_cert:
        yield "[http] open = true contradicts its TLS settings. Leave open out, or the TLS settings"

    if http.bind is not None and not (http.tls_cert or http.open or _is_loopback(http.bind)):
        yield (
            f"[http] bind = {http.bind!r} is reachable from other machines and has no TLS. Name tls_cert and tls_key, "
            'write bind = "127.0.0.1:8080" behind a proxy, or open = true on a closed test bench'
        )


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0]
    return not host or is_loopback(host)


def check_secrets(broker: BrokerSection, http: HttpSection, file: Path) -> None:
    """Raise PrivateFileError for a secret of the node that others than its owner can read: key files, and the node's
    file with a password in it.
    """
    for key in (broker.tls_key, broker.server_key, http.tls_key):
        if key is not None:
            check_private(Path(key))

    if broker.password is not None or http.token is not None:
        check_private(file)


def exposures(node: NodeSection, broker: BrokerSection, http: HttpSection) -> list[str]:
    """Return what is open on purpose, a sentence each, for the operator at each start."""
    lines = []
    if not node.curve:
        lines.append(
            f"OPEN: [node] curve = false: anyone who reaches {node.bind} can send perception and signals. "
            "Only for a closed test bench"
        )

    if broker.open:
        lines.append(
            f"OPEN: [broker] open = true: anyone who reaches {broker.host}:{broker.port} can follow every "
            "vehicle, and advise it. "
            "Only for a closed test bench"
        )

    if http.bind is not None and http.open:
        lines.append(f"OPEN: [http] open = true: {http.bind} is served without TLS; its token can be read on the way")

    return lines
