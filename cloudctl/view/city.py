"""All nodes of a city, as each reports of itself: what the zone page shows beside this node's own intersections."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..clock import SECOND
from ..metrics import Metrics
from ..node_status import NodeReport, worst
from .columns import FrameKind, json_frame
from .viewers import Viewer

MAX_NODES = 200  # that are remembered; a node more is counted, and not shown
INTERVAL = 5 * SECOND  # between two frames of all nodes, which report every 10 s
SILENT = 30 * SECOND  # three of the periods of a report: then a node is shown as silent
FORGOTTEN = 24 * 3600 * SECOND  # and after a day no more
TROUBLES = ("fault", "drop", "reject")  # beginnings of counters that stand for something that went wrong
MAX_TROUBLES = 3  # of a node that are named


class CityReports:
    """The newest report of each node. `now` returns ns of this node's clock, by which ages are measured: those of
    others are not."""

    def __init__(self, now: Callable[[], int], metrics: Metrics, own_name: str) -> None:
        self._now, self._metrics, self._own_name = now, metrics, own_name
        self._reports: dict[str, tuple[int, NodeReport]] = {}  # by node: when its newest one came, and that
        self._decode = msgspec.json.Decoder(NodeReport).decode

    def put(self, payload: bytes) -> None:
        """Keep a report; one that cannot be read is counted."""
        try:
            report = self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._metrics.count("drop.node_report", "unreadable")
            return
        if report.node not in self._reports and len(self._reports) >= MAX_NODES:
            self._metrics.count("drop.node_report", "nodes")
            return
        before = self._reports.get(report.node)
        if before is None or before[1].t != report.t:
            self._reports[report.node] = (self._now(), report)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each node, by name: plain values for a page."""
        now = self._now()
        self._reports = {name: kept for name, kept in self._reports.items() if now - kept[0] < FORGOTTEN}
        return [self._row(now, came, report) for _, (came, report) in sorted(self._reports.items())]

    def _row(self, now: int, came: int, report: NodeReport) -> dict[str, Any]:
        troubles = {name: count for name, count in report.counters.items() if name.startswith(TROUBLES) and count}
        return {
            "node": report.node,
            "own": report.node == self._own_name,
            "edge": report.is_edge,
            "silent": now - came > SILENT,
            "age_s": max(now - came, 0) / SECOND,
            "load": report.load,
            "faults": sum(count for name, count in troubles.items() if name.startswith("fault")),
            "troubles": [{"name": name, "count": count} for name, count in worst(troubles, MAX_TROUBLES)],
            "intersections": [{"id": name, "epoch": report.epochs.get(name)} for name in sorted(report.intersections)],
        }


class CityFrames:
    """The frames that show pages every node of the city, seldom. `rows` returns a row for each node; none where it is
    alone."""

    def __init__(self, rows: Callable[[], list[dict[str, Any]]]) -> None:
        self._rows = rows
        self._due = 0  # ns

    def is_due(self, time_ns: int) -> bool:
        """Return whether it is time for a frame at `time_ns`, and wait for the next one from then on."""
        if 0 <= self._due - time_ns <= INTERVAL:
            return False
        self._due = time_ns + INTERVAL
        return True

    def show(self, viewers: Sequence[Viewer]) -> None:
        """Show some pages every node of the city, where it is not alone."""
        if rows := self._rows():
            data = json_frame(FrameKind.CITY, {"nodes": rows})
            for viewer in viewers:
                viewer.put((FrameKind.CITY, 0), data)
