"""What a node's operator reads: log lines on faults, troubles and refused keys, each when it changes, and the status
file.
"""

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ..clock import SECOND, stopwatch
from ..faults import Fault, FaultReport
from ..io.handshakes import Refusal
from ..metrics import Metrics
from ..rates import Repeats
from ..signals.faults import SignalFault

FAULT_INTERVAL = 60 * SECOND  # between two lines on the same signal fault of an intersection; each is counted
MAX_FAULT_LINES = 10_000  # signal faults that are remembered as reported
MAX_KEY_LINES = 20  # unknown keys that get a line of their own; all are counted
HANDSHAKE_LINES = {
    Refusal.WRONG_NODE_KEY: "%d connections of gateways were refused so far whose node_key is not this node's. It "
    "is %s, in the node's .pub file: give it to their engineers",
    Refusal.GATEWAY_IN_CLEAR: "%d connections of gateways were refused so far that do not encrypt (CURVE). Give them "
    "the folders of: cloudctl keys gateway NAME",
    Refusal.NODE_IN_CLEAR: "%d connections of gateways were refused so far that encrypt (CURVE), which [node] curve = "
    "false turns off here",
}
log = logging.getLogger("cloudctl.node")

Trouble = Callable[[], str | None]


class Reports:
    """The lines and the status file of one node. `troubles`: what stands in the way (None: nothing), by the place it
    is in.
    """

    def __init__(self, metrics: Metrics, troubles: Mapping[str, Trouble]) -> None:
        self._metrics = metrics
        self._status_trouble: str | None = None
        self._troubles: dict[str, Trouble] = {**troubles, "status file": self._trouble_of_status}
        self._fault_report = FaultReport()
        self._repeats = Repeats(FAULT_INTERVAL, MAX_FAULT_LINES)
        self._reported: dict[str, str | None] = {}  # by place, as it was last reported
        self._reported_keys: set[str] = set()
        self._failed: dict[Refusal, int] = {}  # handshakes, as last counted

    def faults(self, faults: list[Fault]) -> None:
        """Log faults of the node itself: each cause once with its traceback, then how often it came again."""
        for line in self._fault_report.lines(stopwatch(), faults):
            log.error("%s", line)

    def signal_fault(self, fault: SignalFault) -> None:
        """Log a fault of signal states, at most once in FAULT_INTERVAL."""
        repeated = self._repeats.again(f"{fault.intersection} {fault.check} {fault.field}", stopwatch())
        if repeated is None:
            return

        if repeated:
            log.warning("%s (%d times more since this was last reported)", fault, repeated)
        else:
            log.warning("%s", fault)

    def unknown_keys(self, refused: Counter[str]) -> None:
        """Count handshakes that were refused, and log the first ones: the operator may have forgotten a gateway."""
        for key, count in refused.items():
            self._metrics.put("reject.unknown_key", key, count)
            if key not in self._reported_keys and len(self._reported_keys) < MAX_KEY_LINES:
                self._reported_keys.add(key)
                log.warning(
                    "a gateway with the unknown key %s was refused. Where it is yours, add it under [[gateway]]", key
                )

    def failed_handshakes(self, failed: Mapping[Refusal, int], public_key: str) -> None:
        """Count handshakes that failed for another reason than an unknown key, and log each reason when it comes up,
        seldom. `public_key`: the node's, "" in clear."""
        for reason, count in failed.items():
            if count == self._failed.get(reason):
                continue
            self._failed[reason] = count
            self._metrics.put("reject.handshake", reason.value, count)
            if self._repeats.again(f"handshake {reason}", stopwatch()) is not None:
                log.warning(HANDSHAKE_LINES[reason], count, *([public_key] if reason is Refusal.WRONG_NODE_KEY else []))

    def troubles(self) -> None:
        """Log each trouble when it begins or changes, and when it is over."""
        for place, trouble in self._troubles.items():
            text = trouble()
            if text == self._reported.get(place):
                continue

            self._reported[place] = text
            if text is None:
                log.info("%s: all is well again", place)
            else:
                log.warning("%s", text)

    def _trouble_of_status(self) -> str | None:
        return self._status_trouble

    def write_status(self, file: str | None) -> None:
        """Write the totals of all counters, advisories by kind, and latencies; readers never see half a file."""
        if file is None:
            return

        path = Path(file)
        partial = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.format(msgspec.json.encode(self._metrics.snapshot())))
            os.replace(partial, path)
            self._status_trouble = None
        except OSError as error:
            self._status_trouble = (
                f"the status file {path} cannot be written ({error.strerror or type(error).__name__}): what it holds "
                "is old. Free some space, or correct [node] status"
            )
            with contextlib.suppress(OSError):
                partial.unlink()
