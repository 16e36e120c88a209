"""Plots of a study: time-space diagrams through the signals, stops by approach, ratios with their intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Path1D:
    """A route laid out straight: where each of its edges begins (m), and its stop lines."""

    edges: tuple[str, ...]
    start: dict[str, float]
    lines: tuple[tuple[float, str, tuple[int, ...]], ...]  # at, SUMO's signal, columns of its state that let it pass
    length: float


def ratios(study: Mapping[str, Any], file: Path) -> None:
    """Draw each adviser's ratios to no advice, whiskers being the 95 % interval."""
    rows = [row for row in study["rows"] if row["arm"] != "none"]
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(9.6, 3.6))
        width = 0.8 / max(len(rows), 1)
        for k, row in enumerate(rows):
            at = np.arange(len(LABELS)) + (k - (len(rows) - 1) / 2) * width
            figures = [row[name] for name in LABELS]
            value = np.array([f["value"] for f in figures])
            error = np.array([[f["value"] - f["low"], f["high"] - f["value"]] for f in figures]).T
            axis.bar(
                at,
                value,
                0.92 * width,
                yerr=np.maximum(error, 0),
                ecolor=INK,
                capsize=2,
                color=COLOURS[row["arm"]],
                alpha=1.0 if row["penetration"] == 1.0 else 0.55,
                label=f"{row['arm']}, {100 * row['penetration']:g} %",
            )
            ink = "white" if row["penetration"] == 1.0 else INK
            for x, f in zip(at, figures, strict=True):
                axis.annotate(f"{f['value']:.2f}", (x, 0.02), ha="center", fontsize=8, rotation=90, color=ink)
        axis.axhline(1.0, color=SOFT, lw=1)
        axis.set_xticks(range(len(LABELS)), list(LABELS.values()))
        top = max((row[name]["high"] for row in rows for name in LABELS), default=1.0)
        axis.set(ylabel="with advice / without", ylim=(0, min(max(1.1, top * 1.05), 2.5)))
        axis.set_title(f"{study['scenario']}, {len(study['seeds'])} seed(s); lower is better", loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=8, ncols=len(rows), loc="upper center", bbox_to_anchor=(0.5, -0.1))
        _save(figure, file)


def stops_by_approach(runs: Sequence[tuple[str, Mapping[str, float]]], title: str, file: Path) -> None:
    """Draw stops a run for each approach that has any worth seeing; `runs` are (adviser, stops by approach)."""
    names = sorted({name for _, stops in runs for name, n in stops.items() if n >= 1}, reverse=True)
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(9.6, 1.2 + 0.16 * len(names) * max(len(runs), 1)))
        height = 0.8 / max(len(runs), 1)
        for k, (arm, stops) in enumerate(runs):
            at = np.arange(len(names)) - (k - (len(runs) - 1) / 2) * height
            axis.barh(at, [stops.get(n, 0.0) for n in names], 0.92 * height, color=COLOURS[arm], label=arm)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.tick_params(axis="y", length=0)
        axis.set(xlabel="stops on the approach, a run")
        axis.set_title(title, loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=9, loc="lower right")
        _save(figure, file)


def main_route(routes: Mapping[str, Sequence[str]], net: Net) -> tuple[str, ...]:
    """Return the route a time-space diagram is drawn along: many vehicles, many signals, a long way."""
    approaches = net.approaches
    use: Counter[tuple[str, ...]] = Counter(tuple(route) for route in routes.values())
    worth = {
        route: n**0.5 * sum(edge in approaches for edge in route) * sum(net.length[edge] for edge in route)
        for route, n in use.items()
    }
    return max(worth, key=lambda route: (worth[route], route), default=())


def lay_out(net: Net, route: Sequence[str]) -> Path1D:
    """Return a route laid out straight, junctions' own edges included."""
    start: dict[str, float] = {}
    lines = []
    at = 0.0
    for edge, following in zip(route, [*route[1:], ""], strict=True):
        start[edge] = at
        at += net.length[edge]
        links = net.links.get((edge, following), [])
        signals = [link for link in links if link.signal]
        if signals:
            lines.append((at, signals[0].signal, tuple(sorted({link.column for link in signals}))))
        inner = [link.inner for link in links if link.inner]
        if inner:
            start |= dict.fromkeys(inner, at)
            at += net.length[inner[0]]
    return Path1D(tuple(route), start, tuple(lines), at)


def time_space(
    panels: Sequence[tuple[str, Mapping[str, np.ndarray], Mapping[str, Any]]],
    path: Path1D,
    window: tuple[float, float],
    title: str,
    file: Path,
) -> None:
    """Draw one diagram an adviser, above one another: each vehicle a line, slow ones dark, signals as coloured bars.

    `panels` are (adviser, trajectories as `study_run.Trace.save` writes them, changes of signals); `window` in seconds
    of the run.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(panels), 1, figsize=(9.6, 0.7 + 3.0 * len(panels)), sharex=True, sharey=True, squeeze=False
        )
        for axis, (arm, columns, signals) in zip(axes[:, 0], panels, strict=True):
            drawn = _trajectories(axis, columns, path, window)
            _lamps(axis, signals, path, window)
            axis.set(ylabel="along the road, m", xlim=window, ylim=(-5, path.length + 5))
            axis.set_title(arm, loc="left", fontsize=10, color=COLOURS[arm], fontweight="bold")
        bar = figure.colorbar(
            drawn, ax=axes[0, 0], location="top", fraction=0.05, pad=0.03, aspect=50, anchor=(1.0, 0.0), shrink=0.35
        )
        bar.set_label("m/s", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        axes[-1, 0].set_xlabel(f"s of the run; {title}")
        _save(figure, file)


def _trajectories(axis: Axes, columns: Mapping[str, np.ndarray], path: Path1D, window: tuple[float, float]) -> None:
    begin = np.array([path.start.get(name, np.nan) for name in columns["edges"].tolist()])
    at = begin[columns["edge"]] + columns["at"]
    keep = np.isfinite(at) & (columns["t"] >= window[0]) & (columns["t"] <= window[1])
    t, vehicle, at, speed = columns["t"][keep], columns["vehicle"][keep], at[keep], columns["speed"][keep]
    driven = np.array([name in path.edges for name in columns["edges"].tolist()])[columns["edge"]]
    pairs = np.unique(np.stack([columns["vehicle"][driven], columns["edge"][driven]]), axis=1)
    through = np.isin(vehicle, np.flatnonzero(np.bincount(pairs[0]) > 1))  # who only crosses is not on this road
    t, vehicle, at, speed = t[through], vehicle[through], at[through], speed[through]
    order = np.lexsort((t, vehicle))
    t, vehicle, at, speed = t[order], vehicle[order], at[order], speed[order]
    joined = (vehicle[1:] == vehicle[:-1]) & (t[1:] - t[:-1] < 2.5) & (at[1:] >= at[:-1] - 1.0)
    points = np.c_[t, at]
    segments = np.stack([points[:-1][joined], points[1:][joined]], axis=1)
    lines = LineCollection(list(segments), cmap="viridis", norm=plt.Normalize(0, 15), lw=0.8)
    lines.set_array(speed[1:][joined])
    axis.add_collection(lines)
    return lines


def _lamps(axis: Axes, signals: Mapping[str, Any], path: Path1D, window: tuple[float, float]) -> None:
    for at, signal, columns in path.lines:
        changes = signals[signal]
        for (t, state), (until, _) in zip(changes, [*changes[1:], (window[1], "")], strict=True):
            if until < window[0] or t > window[1]:
                continue
            shown = {state[k].lower() for k in columns}
            lamp = "g" if "g" in shown else "y" if "y" in shown else "r"
            axis.plot(
                [max(t, window[0]), min(until, window[1])], [at, at], color=LAMPS[lamp], lw=2.5, solid_capstyle="butt"
            )


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
