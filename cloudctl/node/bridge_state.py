"""Whether the broker of an edge reaches its region's: mosquitto publishes that of its bridge, and logs why not."""

import re

from ..clock import SECOND, stopwatch
from ..io.broker import Broker
from ..metrics import Metrics
from ..settings import BrokerSection

# s without the region before that is a trouble: a bridge begins without it, and tries again every 1 to 5 s
PATIENCE = 6
LOG_TAIL = 4096  # bytes of the broker's log in which the reason is looked for
STAMP = re.compile(r"^\d+: ")  # that mosquitto begins each line with
REFUSED = re.compile(r"refused|error|certificate|unable|not authori[sz]ed", re.IGNORECASE)


class BridgeState:
    """What an edge's node knows of the bridge of its embedded broker; `put` takes what the broker publishes of it."""

    def __init__(self, section: BrokerSection, broker: Broker | None, metrics: Metrics) -> None:
        self._section, self._broker, self._metrics = section, broker, metrics
        self._is_connected: bool | None = None  # None: nothing is known yet
        self._away_since = 0  # ns by the stopwatch
        self._is_counted = False  # whether this outage is

    def put(self, payload: bytes) -> None:
        """Take in whether the bridge is connected: "1", or "0" after each attempt that has failed."""
        is_connected = payload == b"1"
        if is_connected == self._is_connected:
            return

        self._is_connected = is_connected
        if not is_connected:
            self._away_since = stopwatch()
            self._is_counted = False

    def trouble(self) -> str | None:
        """Return why nothing goes up to the region, None where it does, or is about to; each outage is counted once."""
        if self._is_connected is not False or stopwatch() - self._away_since < PATIENCE * SECOND:
            return None

        if not self._is_counted:
            self._is_counted = True
            self._metrics.count("broker.bridge_lost")

        section = self._section
        return (
            f"the bridge {section.bridge_name} to the region's broker at {section.bridge} is not connected"
            f"{self._reason()}. What goes up waits here meanwhile. Check address and network; where the region refuses "
            "it: cloudctl keys edge NAME there, then cloudctl reload, and its files under [broker] bridge_ca, "
            "bridge_cert, bridge_key here"
        )

    def _reason(self) -> str:
        """Return the last reason in the broker's log, in brackets."""
        log = self._broker.log_tail(LOG_TAIL) if self._broker is not None else None
        if log is None:
            return ""

        lines = [STAMP.sub("", line) for line in log.splitlines()]
        reasons = [line for line in lines if REFUSED.search(line)]
        return f" ({reasons[-1].rstrip('.')})" if reasons else ""
