"""Asks a node that runs on this machine whether it is alive or ready, as its own file says where it listens."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CloudctlError
from ..io.addresses import bracketed, reachable
from ..settings import HttpSection
from .config import NodeConfig

TIMEOUT = 4.0  # s; an event loop that does not turn in that time is no healthy one


class ProbeError(CloudctlError, RuntimeError):
    """A node that cannot be asked; the text says what to do."""


class Reply(NamedTuple):
    """What a node has answered."""

    status: int
    report: dict[str, Any]


def ask(config: NodeConfig, path: str) -> Reply:
    """Return what the node of a configuration answers to `/health` or `/ready`. Raises ProbeError where it does not."""
    address = local_address(config.http)
    request = urllib.request.Request(address + path)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=_trust(config.http)) as answer:  # nosec B310
            return Reply(answer.status, json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        try:
            return Reply(error.code, json.loads(error.read()))
        except ValueError:
            raise ProbeError(f"{address}{path} answers {error.code}: no cloudctl node serves there") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ProbeError(f"{address}{path} does not answer ({reason}). Start the node: cloudctl serve") from None


def local_address(section: HttpSection) -> str:
    """Return where this machine reaches the HTTP side of a node. Raises ProbeError where there is none."""
    if section.bind is None:
        raise ProbeError('the node has no HTTP side to ask: write [http] bind = "127.0.0.1:8080" into its file')
    host, _, port = section.bind.rpartition(":")
    scheme = "https" if section.tls_cert else "http"
    return f"{scheme}://{bracketed(reachable(host))}:{port}"


def _trust(section: HttpSection) -> ssl.SSLContext | None:
    """Return TLS settings that trust the node's own certificate and no other, under whatever name it is for."""
    if section.tls_cert is None:
        return None
    context = ssl.create_default_context(cafile=Path(section.tls_cert))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False  # it is asked at the loopback address
    return context
