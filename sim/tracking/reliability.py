"""Whether existence is calibrated: of the tracks given out with so much existence, how many there are in truth."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..common.score import distances
from ..common.terminal import table

BINS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def exists(moment: Any, match_m: float) -> np.ndarray:
    """Return bool[m]: which tracks are of a road user that there is, each of at most one track, no further than
    `match_m`.
    """
    distance = distances(moment)
    existing = np.zeros(distance.shape[1], bool)
    rows, columns = linear_sum_assignment(np.minimum(distance, match_m))
    existing[columns[distance[rows, columns] < match_m]] = True

    return existing


def diagram(moments: Sequence[Any], match_m: float) -> np.ndarray:
    """Return float64[10, 3] by tenth of existence: tracks given out, their mean existence, the share that exist (NaN
    where none).
    """
    existence = np.concatenate([moment[4] for moment in moments]) if moments else np.empty(0)
    true = np.concatenate([exists(moment, match_m) for moment in moments]) if moments else np.empty(0, bool)
    bins_of = np.full((len(BINS) - 1, 3), np.nan)
    tenth = np.clip(np.digitize(existence, BINS) - 1, 0, len(BINS) - 2)

    for index in range(len(bins_of)):
        own = tenth == index
        bins_of[index, 0] = own.sum()
        if own.any():
            bins_of[index, 1:] = existence[own].mean(), true[own].mean()

    return bins_of


def lines(diagrams: Sequence[tuple[str, np.ndarray]]) -> str:
    """Return a table: by sequence and tenth of existence, the share that exist and how many were given out."""
    header = ["existence", *(f"{low:.1f}-{high:.1f}" for low, high in itertools.pairwise(BINS))]
    cells = [
        [name, *("" if not count else f"{share:.3f} of {int(count):,}" for count, _, share in bins_of)]
        for name, bins_of in diagrams
    ]
    return table(header, cells)


def draw(axes: Any, bins_of: np.ndarray) -> None:
    """Draw a reliability diagram: share that exist over the existence given, beside the diagonal."""
    axes.plot([0, 1], [0, 1], c="0.7", lw=1)
    has_tracks = bins_of[:, 0] > 0
    axes.plot(bins_of[has_tracks, 1], bins_of[has_tracks, 2], "o-", ms=4)
    axes.set(
        title="existence", xlabel="given out", ylabel="share that exist", xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal"
    )
