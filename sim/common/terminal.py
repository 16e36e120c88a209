"""What a person sees in the terminal: progress and tables."""

import sys
from collections.abc import Sequence
from typing import Any

from ...clock import SECOND, stopwatch

BAR_WIDTH, LINE_WIDTH = 24, 90  # characters
LINE_INTERVAL = 10.0  # s between two lines where the output is no terminal


class Progress:
    """One line that moves on a terminal; a line every ten seconds elsewhere."""

    def __init__(self, title: str) -> None:
        self.what = title
        self._start = stopwatch()
        self._last_shown = 0.0  # s
        self._first: tuple[float, float] | None = None  # s, and how much was done by then: what loads first is no pace
        self._is_terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Print a line beside the progress."""
        print(f"{self.what}: {text}", file=sys.stderr, flush=True)

    def at(self, done: float, total: float) -> None:
        """Show how far it is."""
        elapsed = (stopwatch() - self._start) / SECOND
        if self._first is None:
            self._first = (elapsed, done)
        if not self._is_terminal and elapsed - self._last_shown <= LINE_INTERVAL:
            return

        self._last_shown = elapsed

        bar = "#" * int(BAR_WIDTH * min(done / total, 1.0))
        text = f"{self.what}: [{bar:<{BAR_WIDTH}}] {done:.0f} of {total:.0f} s simulated"
        elapsed_since, done_before = elapsed - self._first[0], self._first[1]
        if done > done_before:
            remaining = elapsed_since / (done - done_before) * max(total - done, 0.0)
            text += f", {remaining:.0f} s left"

        if self._is_terminal:
            print(f"\r{text}  ", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def done(self) -> None:
        """Clear the line."""
        if self._is_terminal:
            print("\r" + " " * LINE_WIDTH + "\r", end="", file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a plain text table, numbers to the right."""
    cells = [list(header), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]

    def line(row: Sequence[str]) -> str:
        numbers = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
        return "  ".join([row[0].ljust(widths[0]), *numbers]).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def _cell(value: object) -> str:
    """Return a value with about three figures."""
    if isinstance(value, float):
        if abs(value) >= 100:
            return f"{value:,.0f}"
        return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def figures_table(results: Sequence[dict[str, Any]]) -> str:
    """Return the figures of runs as tables: traffic, fusion, latency, advisories, what was dropped or refused."""
    parts = []
    traffic = [
        [
            f"{result['scenario']} seed {result['seed']} advice {result['advice']}",
            *(result["traffic"][key] for key in TRAFFIC),
        ]
        for result in results
    ]

    parts.append(
        table(["traffic, per motor trip", "trips", "stops", "waiting s", "travel s", "time loss s", "fuel g"], traffic)
    )
    fused = [result for result in results if result.get("fusion")]
    if fused:
        rows = [[result["scenario"], *(result["fusion"].get(key, float("nan")) for key in FUSION)] for result in fused]
        parts.append(table(["fusion against truth", "MOTA", "IDF1", "id switches", "RMSE m", "GOSPA m"], rows))
        rows = [
            [
                f"{result['scenario']} {HOPS.get(name, name)}",
                *(value[key] for key in ("count", "p50", "p99", "p99_9", "max")),
            ]
            for result in fused
            for name, value in result["latency_us"].items()
        ]

        parts.append(table(["latency, us", "n", "p50", "p99", "p99.9", "max"], rows))
        rows = [
            [f"{result['scenario']} {kind}", count]
            for result in fused
            for kind, count in result["advisories"]["by_kind"].items()
        ]

        rows += [[f"{result['scenario']} arrived after valid_until", result["advisories"]["late"]] for result in fused]
        parts.append(table(["advisories", "n"], rows))
        parts.append(table(["dropped, refused", "n"], losses(fused) or [["nothing", 0]]))

    return "\n\n".join(parts)


HOPS = {
    "sensor_to_node": "sensor to node",
    "node_to_published": "node to published",
    "published_to_vehicle": "published to vehicle",
    "sensor_to_vehicle": "sensor to vehicle, whole",
    "decoded": "decode and check",
    "fused": "fuse",
    "planned": "plan",
    "published": "publish",
    "hop.sensor_to_node": "sensor to node, of advisories",
    "hop.node_to_advisory": "node to advisory made",
    "hop.sensor_to_advisory": "sensor to advisory made",
    "loop_delay": "delay of the event loop",
}  # by name in the results: as shown
TRAFFIC = ("trips", "stops", "waiting_s", "travel_time_s", "time_loss_s", "fuel_g")
FUSION = ("mota", "idf1", "id_switches", "rmse_m", "gospa")
LOSSES = ("drop.", "reject.", "sequence.", "egress.", "signal.")


def losses(results: Sequence[dict[str, Any]]) -> list[list[object]]:
    """Return [what (source), how many] for everything that was not used."""
    return [
        [f"{result['scenario']} {name} {source}".rstrip(), count]
        for result in results
        for name, by in result["counters"].items()
        if name.startswith(LOSSES)
        for source, count in by.items()
    ]
