"""What a service tells systemd (`Type=notify`): ready, reloading, stopping, alive. A datagram each to the socket that
NOTIFY_SOCKET names, as sd_notify(3) says; without one, nothing.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping

from ..clock import stopwatch


class Notifier:
    """The connection to the service manager. It is taken out of the environment: programs that this one starts are not
    to speak for it.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.is_watched = watchdog.isdecimal() and process in ("", str(os.getpid()))  # it is ended where it hangs

    def ready(self, status: str) -> None:
        """Say that it serves; `status`: one line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that its file is being read again; `ready` ends that."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={stopwatch() // 1000}")

    def stopping(self) -> None:
        """Say that it stops."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Say that the event loop turns, where the manager wants to know."""
        if self.is_watched:
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)  # a manager that does not read is not waited for
            connection.sendto(text.encode(), self._address)


def _one_line(text: str) -> str:
    return " ".join(text.split())
