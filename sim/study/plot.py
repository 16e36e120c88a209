"""Plots of a study: time-space diagrams through the signals, stops by approach, ratios with their intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from ..common.net import Net

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ..common.plot_style import INK, PLOT_STYLE, SOFT

COLOURS = {
    "none": "#7a8794",
    "glosa-default": "#c9a06a",
    "glosa-best": "#e07b27",
    "glosa-best-queue": "#b45309",
    "ours": "#2667c9",
}
LAMPS = {"r": "#c93a3a", "y": "#e5b800", "g": "#2f9e62"}
STYLE = PLOT_STYLE | {"figure.dpi": 110}
LABELS = {"stops": "stops", "waiting_s": "waiting", "fuel_g": "fuel", "travel_time_s": "travel time"}
GROUP_WIDTH = 0.8  # of the distance between two groups of bars
BAR_SHARE = 0.92  # of the width that a bar has
MAX_TIME_GAP = 2.5  # s between two points of a trajectory that a line joins
MAX_STEP_BACK = 1.0  # m; further back, the vehicle is on another edge of the same road


class StopLine(NamedTuple):
    """A stop line along a route, and the signal that stands at it."""

    position: float  # m along the route
    signal: str  # SUMO's id
    columns: tuple[int, ...]  # of its state that let this route pass


@dataclass(frozen=True)
class StraightRoute:
    """A route laid out straight: where each of its edges begins (m), and its stop lines."""

    edges: tuple[str, ...]
    start: dict[str, float]  # m, by edge; edges within junctions included
    stop_lines: tuple[StopLine, ...]
    length: float  # m


def ratios(study: Mapping[str, Any], file: Path) -> None:
    """Draw each adviser's ratios to no advice, whiskers being the 95 % interval."""
    rows = [row for row in study["rows"] if row["arm"] != "none"]
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(9.6, 3.6))
        width = GROUP_WIDTH / max(len(rows), 1)

        for index, row in enumerate(rows):
            offset = (index - (len(rows) - 1) / 2) * width
            _draw_ratios(axis, row, np.arange(len(LABELS)) + offset, width)

        axis.axhline(1.0, color=SOFT, lw=1)
        axis.set_xticks(range(len(LABELS)), list(LABELS.values()))
        top = max((row[name]["high"] for row in rows for name in LABELS), default=1.0)
        axis.set(ylabel="with advice / without", ylim=(0, min(max(1.1, top * 1.05), 2.5)))
        axis.set_title(f"{study['scenario']}, {len(study['seeds'])} seed(s); lower is better", loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=8, ncols=len(rows), loc="upper center", bbox_to_anchor=(0.5, -0.1))
        _save(figure, file)


def _draw_ratios(axis: Axes, row: Mapping[str, Any], positions: np.ndarray, width: float) -> None:
    """Draw the ratios of one adviser at one penetration, with their intervals."""
    is_full = row["penetration"] == 1.0
    figures = [row[name] for name in LABELS]
    below = [figure["value"] - figure["low"] for figure in figures]
    above = [figure["high"] - figure["value"] for figure in figures]

    axis.bar(
        positions,
        [figure["value"] for figure in figures],
        BAR_SHARE * width,
        yerr=np.maximum([below, above], 0),
        ecolor=INK,
        capsize=2,
        color=COLOURS[row["arm"]],
        alpha=1.0 if is_full else 0.55,
        label=f"{row['arm']}, {100 * row['penetration']:g} %",
    )

    ink = "white" if is_full else INK
    for position, figure in zip(positions, figures, strict=True):
        axis.annotate(f"{figure['value']:.2f}", (position, 0.02), ha="center", fontsize=8, rotation=90, color=ink)


def stops_by_approach(runs: Sequence[tuple[str, Mapping[str, float]]], title: str, file: Path) -> None:
    """Draw the stops per run of each approach that has at least one; `runs` are (adviser, stops by approach)."""
    approaches = sorted({name for _, stops in runs for name, count in stops.items() if count >= 1}, reverse=True)
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(9.6, 1.2 + 0.16 * len(approaches) * max(len(runs), 1)))
        height = GROUP_WIDTH / max(len(runs), 1)

        for index, (arm, stops) in enumerate(runs):
            positions = np.arange(len(approaches)) - (index - (len(runs) - 1) / 2) * height
            lengths = [stops.get(name, 0.0) for name in approaches]
            axis.barh(positions, lengths, BAR_SHARE * height, color=COLOURS[arm], label=arm)

        axis.set_yticks(range(len(approaches)), approaches)
        axis.set_ylim(-0.6, len(approaches) - 0.4)
        axis.tick_params(axis="y", length=0)
        axis.set(xlabel="stops on the approach per run")
        axis.set_title(title, loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=9, loc="lower right")
        _save(figure, file)


def main_route(routes: Mapping[str, Sequence[str]], net: Net) -> tuple[str, ...]:
    """Return the route a time-space diagram is drawn along: many vehicles, many signals, a long way."""
    approaches = net.approaches
    use: Counter[tuple[str, ...]] = Counter(tuple(route) for route in routes.values())
    weight = {
        route: count**0.5 * sum(edge in approaches for edge in route) * sum(net.length[edge] for edge in route)
        for route, count in use.items()
    }
    return max(weight, key=lambda route: (weight[route], route), default=())


def lay_out(net: Net, route: Sequence[str]) -> StraightRoute:
    """Return a route laid out straight, junctions' own edges included."""
    start: dict[str, float] = {}
    stop_lines = []
    position = 0.0

    for edge, following in zip(route, [*route[1:], ""], strict=True):
        start[edge] = position
        position += net.length[edge]

        links = net.links.get((edge, following), [])

        signalled = [link for link in links if link.signal]
        if signalled:
            columns = tuple(sorted({link.column for link in signalled}))
            stop_lines.append(StopLine(position, signalled[0].signal, columns))

        inner = [link.inner for link in links if link.inner]
        if inner:
            start |= dict.fromkeys(inner, position)
            position += net.length[inner[0]]

    return StraightRoute(edges=tuple(route), start=start, stop_lines=tuple(stop_lines), length=position)


def time_space(
    panels: Sequence[tuple[str, Mapping[str, np.ndarray], Mapping[str, Any]]],
    road: StraightRoute,
    window: tuple[float, float],
    title: str,
    file: Path,
) -> None:
    """Draw one diagram per adviser, above one another: each vehicle a line, slow ones dark, signals as coloured bars.

    `panels` are (adviser, trajectories as `seed_run.Trace.save` writes them, changes of signals); `window` in seconds
    of the run.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(panels), 1, figsize=(9.6, 0.7 + 3.0 * len(panels)), sharex=True, sharey=True, squeeze=False
        )
        for axis, (arm, columns, signals) in zip(axes[:, 0], panels, strict=True):
            drawn = _trajectories(axis, columns, road, window)
            _lamps(axis, signals, road, window)
            axis.set(ylabel="along the road, m", xlim=window, ylim=(-5, road.length + 5))
            axis.set_title(arm, loc="left", fontsize=10, color=COLOURS[arm], fontweight="bold")

        bar = figure.colorbar(
            drawn, ax=axes[0, 0], location="top", fraction=0.05, pad=0.03, aspect=50, anchor=(1.0, 0.0), shrink=0.35
        )
        bar.set_label("m/s", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        axes[-1, 0].set_xlabel(f"s of the run; {title}")
        _save(figure, file)


def _trajectories(
    axis: Axes, columns: Mapping[str, np.ndarray], road: StraightRoute, window: tuple[float, float]
) -> LineCollection:
    """Draw the vehicles that drive along the road, coloured by speed (m/s)."""
    names = columns["edges"].tolist()
    edge_start = np.array([road.start.get(name, np.nan) for name in names])
    position = edge_start[columns["edge"]] + columns["at"]

    # A vehicle that is on one edge of the road only crosses it.
    on_road = np.array([name in road.edges for name in names])[columns["edge"]]
    edges_driven = np.unique(np.stack([columns["vehicle"][on_road], columns["edge"][on_road]]), axis=1)
    along = np.flatnonzero(np.bincount(edges_driven[0]) > 1)

    times, vehicle, speed = columns["t"], columns["vehicle"], columns["speed"]
    shown = np.isfinite(position) & (times >= window[0]) & (times <= window[1]) & np.isin(vehicle, along)
    times, vehicle, position, speed = times[shown], vehicle[shown], position[shown], speed[shown]
    order = np.lexsort((times, vehicle))
    times, vehicle, position, speed = times[order], vehicle[order], position[order], speed[order]

    is_joined = (vehicle[1:] == vehicle[:-1]) & (np.diff(times) < MAX_TIME_GAP) & (np.diff(position) >= -MAX_STEP_BACK)
    points = np.c_[times, position]
    segments = np.stack([points[:-1][is_joined], points[1:][is_joined]], axis=1)
    lines = LineCollection(list(segments), cmap="viridis", norm=plt.Normalize(0, 15), lw=0.8)
    lines.set_array(speed[1:][is_joined])
    axis.add_collection(lines)

    return lines


def _lamps(axis: Axes, signals: Mapping[str, Any], road: StraightRoute, window: tuple[float, float]) -> None:
    """Draw a bar along each stop line in the colour its signal displays to this road."""
    for stop_line in road.stop_lines:
        changes = signals[stop_line.signal]
        ends = [*(time_ns for time_ns, _ in changes[1:]), window[1]]
        for (begin, state), end in zip(changes, ends, strict=True):
            if end < window[0] or begin > window[1]:
                continue
            letters = {state[column].lower() for column in stop_line.columns}
            lamp = next((letter for letter in "gy" if letter in letters), "r")
            span = [max(begin, window[0]), min(end, window[1])]
            axis.plot(span, [stop_line.position] * 2, color=LAMPS[lamp], lw=2.5, solid_capstyle="butt")


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
