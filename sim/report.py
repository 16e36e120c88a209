"""One self-contained HTML page of a run: plots as inline SVG, tables, how it was made. Opens anywhere, offline."""

import html
import io
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from .. import __version__
from ..metrics import BUCKETS_US
from .common.plot_style import PLOT_STYLE, SOFT
from .common.terminal import FUSION, HOPS, TRAFFIC, losses

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#2667c9", "#e07b27", "#2f9e62", "#c93a3a"
COLOURS = (BLUE, ORANGE, GREEN, RED)
# By name in the results: as shown
QUANTILES = {"p50": "p50", "p99": "p99", "p99_9": "p99.9", "max": "max"}
EFFECTS = {"stops": "stops", "waiting_s": "waiting", "travel_time_s": "travel time", "fuel_g": "fuel"}
BUCKET_RATIO = 1.12  # of the bounds of a histogram's buckets
BAR_PITCH, BAR_WIDTH = 0.34, 0.32  # of the distance between two groups of bars
STYLE = """
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{margin-top:2.4rem;border-bottom:1px solid #dde3e9;padding-bottom:.3rem}
p.lead{color:#566472;margin-top:0}table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.28rem .8rem;text-align:right;border-bottom:1px solid #eceff2}th:first-child,td:first-child{text-align:left}
th{color:#566472;font-weight:600}figure{margin:1rem 0}figure svg{max-width:100%;height:auto}figcaption{color:#566472}
.cards{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}.card{border:1px solid #dde3e9;border-radius:8px;padding:.7rem 1rem;min-width:9rem}
.card b{display:block;font-size:1.45rem}.card span{color:#566472}footer{margin:3rem 0 1rem;color:#7a8794}
"""  # noqa: E501


def write(path: Path, live: Sequence[dict[str, Any]], study: Sequence[dict[str, Any]], notes: Sequence[str]) -> None:
    """Write the page. `live`: runs over sockets; `study`: runs with and without advice, same seeds; `notes`: sentences
    on how it was run.
    """
    plt.rcParams.update(
        PLOT_STYLE
        | {
            "svg.fonttype": "none",
            "svg.hashsalt": "cloudctl",
            "font.family": "sans-serif",
        }
    )

    parts = [
        _cards(live, study),
        _latency(live),
        _fusion(live),
        _effect(study),
        _advisories(live),
        _losses(live),
        _method(notes),
    ]

    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport"
        f" content='width=device-width'><title>cloudctl run</title><style>{STYLE}</style><body><h1>The whole"
        " loop</h1><p class=lead>SUMO traffic, roadside sensors, RSU gateways over ZeroMQ, the node, MQTT, vehicle"
        f" clients that follow the advice.</p>{''.join(parts)}<footer>cloudctl {__version__}, Python"
        f" {platform.python_version()}, {html.escape(platform.platform())}</footer></body></html>"
    )

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)


def _cards(live: Sequence[dict[str, Any]], study: Sequence[dict[str, Any]]) -> str:
    """Return the figures that a reader looks for first."""
    cards = []
    for run in live:
        whole = run["latency_us"]["sensor_to_vehicle"]
        latency = f"{whole['p50'] / 1000:.0f} / {whole['p99'] / 1000:.0f} ms"
        cards.append((latency, f"sensor to vehicle, p50 / p99, {run['scenario']}"))
        cards.append((f"{run['fusion'].get('mota', 0):.3f}", f"MOTA, {run['scenario']}"))

    for name, ratio in ratios(study).items():
        cards.append((f"{100 * (ratio['stops'] - 1):+.0f} %", f"stops with advice, {name}"))
    late = sum(run["advisories"]["late"] for run in live)
    cards.append((str(late), "advisories arrived too late"))

    items = (f"<div class=card><b>{figure}</b><span>{html.escape(label)}</span></div>" for figure, label in cards)
    return f"<div class=cards>{''.join(items)}</div>"


def _latency(live: Sequence[dict[str, Any]]) -> str:
    parts = [
        "<h2>Latency, hop by hop</h2><p>Sensor to node contains what the sensors are modelled to take: 40 ms, an"
        " exponential of 15 ms, and 2 % of frames 150 ms late. The planned advisory rests on the newest frame then"
        " received.</p>"
    ]

    header = ["hop, ms", *QUANTILES.values(), "n"]
    for run in live:
        rows = []
        for name, hop in run["latency_us"].items():
            milliseconds = [f"{hop[quantile] / 1000:.2f}" for quantile in QUANTILES]
            rows.append([HOPS.get(name, name), *milliseconds, f"{hop['count']:,}"])
        parts.append(f"<h3>{html.escape(run['scenario'])}, broker {run['broker']}</h3>" + _table(header, rows))

    figure, axes = plt.subplots(1, len(live), figsize=(9.6, 3.1), squeeze=False)
    for axis, run in zip(axes[0], live, strict=True):
        _draw_histograms(axis, run)
    return "".join(parts) + _svg(figure, "Histograms of each hop, in buckets 12 % wide.")


def _draw_histograms(axis: Axes, run: dict[str, Any]) -> None:
    """Draw the hops of a run that have a histogram, one colour each."""
    edges = np.array([BUCKETS_US[0] / BUCKET_RATIO, *BUCKETS_US]) / 1000
    hops = [(name, hop) for name, hop in run["latency_us"].items() if "buckets" in hop]
    for colour, (name, hop) in zip(COLOURS, hops, strict=False):
        counts = np.array(hop["buckets"][:-1], float)
        share = counts / max(counts.sum(), 1) * 100
        axis.stairs(share, edges, color=colour, label=HOPS[name], fill=True, alpha=0.45)

    axis.set(xscale="log", xlim=(0.05, 1000), xlabel="ms", ylabel="% of advisories", title=run["scenario"])
    axis.legend(frameon=False, fontsize=8)


def _fusion(live: Sequence[dict[str, Any]]) -> str:
    header = ["", "MOTA", "IDF1", "id switches", "RMSE m", "GOSPA m"]
    rows = [[run["scenario"], *(_number(run["fusion"].get(name)) for name in FUSION)] for run in live]

    for run in live:
        intersections = run["fusion"].get("intersections", {})
        if len(intersections) > 1:
            for intersection, figures in intersections.items():
                label = f"&nbsp; {html.escape(intersection)}"
                rows.append([label, *(_number(figures.get(name)) for name in FUSION)])

    return (
        "<h2>Fusion against SUMO's truth</h2><p>Within 80 m of each intersection, five times a second, matched within 2"
        " m: the tracks that the node had at a moment, from what had arrived by then, against the road users there at"
        " that moment.</p>" + _table(header, rows)
    )


def _effect(study: Sequence[dict[str, Any]]) -> str:
    if not study:
        return ""

    header = ["", "trips", "stops", "waiting s", "travel s", "time loss s", "fuel g"]
    rows = []

    for run in study:
        label = f"{run['scenario']}, seed {run['seed']}, advice {run['advice']}"
        rows.append([label, *(_number(run["traffic"][name]) for name in TRAFFIC)])

    by_scenario = ratios(study)
    for scenario, ratio in by_scenario.items():
        label = f"<b>{html.escape(scenario)}: with / without</b>"
        rows.append([label, "", *(f"<b>{ratio[name]:.3f}</b>" for name in TRAFFIC[1:])])

    return (
        "<h2>What the advice changes</h2><p>The same seeds with and without advice, means of a motor trip that ended;"
        " fuel by HBEFA4.</p>"
        + _table(header, rows)
        + _svg(_effect_figure(by_scenario), "Ratios to no advice, means over the seeds; lower is better.")
    )


def _effect_figure(by_scenario: dict[str, dict[str, float]]) -> Figure:
    """Return bars of the ratios, one group per figure and one bar per scenario in it."""
    figure, axis = plt.subplots(figsize=(9.6, 2.8))
    for index, (scenario, ratio) in enumerate(by_scenario.items()):
        offset = (index - (len(by_scenario) - 1) / 2) * BAR_PITCH
        heights = [ratio[name] for name in EFFECTS]
        bars = axis.bar(np.arange(len(EFFECTS)) + offset, heights, BAR_WIDTH, color=COLOURS[index], label=scenario)
        axis.bar_label(bars, fmt="%.2f", fontsize=9)

    axis.axhline(1.0, color=SOFT, lw=1)
    axis.set_xticks(range(len(EFFECTS)), list(EFFECTS.values()))
    axis.set(ylabel="with advice / without", ylim=(0, 1.25))
    axis.legend(frameon=False, fontsize=9, ncols=2)

    return figure


def _advisories(live: Sequence[dict[str, Any]]) -> str:
    rows = []
    for run in live:
        followed = run["advisories"]["followed"]
        for kind, count in run["advisories"]["by_kind"].items():
            rows.append([f"{run['scenario']}: {kind}", f"{count:,}", f"{followed.get(kind, 0):,}"])

    for run in live:
        share = run["advisories"]["late"] / max(run["advisories"]["arrived"], 1)
        rows.append([f"{run['scenario']}: share that arrived after valid_until", f"{share:.2%}", ""])

    return "<h2>Advisories</h2>" + _table(["kind", "sent", "followed in SUMO"], rows)


def _losses(live: Sequence[dict[str, Any]]) -> str:
    rows = [[html.escape(str(name)), f"{count:,}"] for name, count in losses(live)] or [
        ["nothing was dropped or refused", "0"]
    ]
    return "<h2>Dropped and refused, by source</h2>" + _table(["", "n"], rows)


def _method(notes: Sequence[str]) -> str:
    return "<h2>How this was run</h2><ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes) + "</ul>"


def ratios(study: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return, by scenario, the mean figures with advice over those without."""
    by_scenario: dict[str, dict[str, float]] = {}
    for scenario in dict.fromkeys(run["scenario"] for run in study):
        runs = [run for run in study if run["scenario"] == scenario]
        with_advice = [run["traffic"] for run in runs if run["advice"] == "on"]

        without = [run["traffic"] for run in runs if run["advice"] == "off"]
        if with_advice and without:
            by_scenario[scenario] = {
                name: _mean(with_advice, name) / max(_mean(without, name), 1e-9) for name in TRAFFIC[1:]
            }

    return by_scenario


def _mean(figures: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([run[name] for run in figures]))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _svg(figure: Figure, caption: str) -> str:
    """Return a figure as inline SVG, and close it."""
    buffer = io.StringIO()
    figure.tight_layout()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)

    # An XML declaration must not stand within HTML.
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]

    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
