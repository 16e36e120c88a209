"""Plots of the warning bench: recall against false warnings as the threshold moves, and how early warnings come."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..common.plot_style import INK, SOFT
from ..study.plot import STYLE, plt
from .score import MAX_FALSE_RATE

COLOURS = {
    "red_light": "#c93a3a",
    "red_light_crossing": "#b45309",
    "collision": "#2667c9",
    "pedestrian": "#2f9e62",
    "queue": "#7a4fb5",
}
MIN_RATE = 0.02  # false warnings per vehicle-hour at the left edge: the axis is logarithmic
GOOD_RECALL = 0.95


def curves(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], chosen: Mapping[str, float], title: str, file: Path
) -> None:
    """Draw, by kind, recall against false warnings per vehicle-hour, and precision and recall against the threshold; a
    ring marks the threshold chosen.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.2))
        for kind, points in curves.items():
            colour = COLOURS[kind]
            warned = [point for point in points if point["warnings"]]
            recall = [point["recall"]["value"] if point["recall"]["n"] else np.nan for point in warned]
            rate = [max(point["false_per_hour"], MIN_RATE) for point in warned]
            left.plot(rate, recall, color=colour, marker=".", ms=4, lw=1.2, label=kind.replace("_", " "))
            marked = [index for index, point in enumerate(warned) if point["threshold"] == chosen[kind]]

            left.plot(
                [rate[index] for index in marked],
                [recall[index] for index in marked],
                "o",
                mfc="none",
                mec=colour,
                ms=10,
            )

            threshold = [point["threshold"] for point in warned]
            precision = [point["precision"]["value"] for point in warned]
            right.plot(threshold, recall, color=colour, lw=1.4)
            right.plot(threshold, precision, color=colour, lw=1.4, ls="--")

        left.axvspan(MIN_RATE, MAX_FALSE_RATE, color="#2f9e62", alpha=0.08, lw=0)
        left.axhline(GOOD_RECALL, color=SOFT, lw=0.8, ls=":")
        left.set(xscale="log", xlabel="false warnings per vehicle-hour", ylabel="recall", ylim=(-0.03, 1.03))
        left.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)

        right.plot([], [], color=INK, label="recall")
        right.plot([], [], color=INK, ls="--", label="precision")
        right.set(xlabel="minimum confidence of a warning", ylim=(-0.03, 1.03), xlim=(0, 1))
        right.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)

        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        figure.tight_layout()
        figure.savefig(file)
        plt.close(figure)


def leads(scores: Mapping[str, Mapping[str, Any]], title: str, file: Path) -> None:
    """Draw the distribution of lead times by kind: the share of warned conflicts whose warning came at least so
    early.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7.2, 3.8))
        for kind, figures in scores.items():
            times = np.array(figures["leads"])
            if len(times):
                label = f"{kind.replace('_', ' ')} (median {np.median(times):.1f} s, n {len(times)})"
                axis.step(times[::-1], np.arange(1, len(times) + 1) / len(times), color=COLOURS[kind], label=label)

        axis.axvline(1.5, color=SOFT, lw=0.8, ls=":")
        axis.axvline(0.0, color=SOFT, lw=0.8)
        axis.set(xlabel="lead time, s", ylabel="share warned at least so early", xlim=(-3, 10), ylim=(0, 1.02))
        axis.set_title(title, loc="left", fontsize=10)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=8)
        figure.tight_layout()
        figure.savefig(file)
        plt.close(figure)
