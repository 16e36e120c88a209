"""Tracks against truth: CLEAR MOT, identity, HOTA (TrackEval's implementations) and GOSPA.

A moment is (truth ids int64[n], truth xy float64[n, 2], track ids int64[m], track xy float64[m, 2]) in metres; more
columns are of no concern here.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

# m; an object missed or made up costs half of its square (Rahmathullah 2017, alpha 2, p 2)
GOSPA_CUT = 4.0


def score(moments: Sequence[Any], match_m: float = 2.0) -> dict[str, float]:
    """Return mota, idf1, hota, hota_match, id_switches, misses, false_positives, rmse_m, gospa and n over a sequence.

    Pairs further than `match_m` never match. `hota` is the mean over TrackEval's thresholds, `hota_match` the value at
    `match_m` alone.
    """
    data = _sequence(moments, match_m)
    if not data["num_gt_dets"]:
        return {"n": 0}

    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval.metrics import CLEAR, HOTA, Identity

        clear = CLEAR({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
        identity = Identity({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
        hota = HOTA().eval_sequence(data)

    rmse, gospa = _rmse_and_gospa(moments, match_m)
    return {
        "mota": float(clear["MOTA"]),
        "idf1": float(identity["IDF1"]),
        "hota": float(np.mean(hota["HOTA"])),
        "hota_match": float(hota["HOTA"][9]),
        "id_switches": int(clear["IDSW"]),
        "misses": int(clear["CLR_FN"]),
        "false_positives": int(clear["CLR_FP"]),
        "rmse_m": rmse,
        "gospa": gospa,
        "n": int(data["num_gt_dets"]),
    }


def _sequence(moments: Sequence[Any], match_m: float) -> dict[str, Any]:
    """Return TrackEval's form; similarity falls from 1 at no distance to 0.5 at `match_m`, so that its threshold of 0.5
    is `match_m`.
    """
    # TrackEval indexes arrays by identity: ids are numbered from 0
    truth_number = _numbered([moment[0] for moment in moments])
    track_number = _numbered([moment[2] for moment in moments])
    similarity = [np.maximum(1.0 - 0.5 * distances(current) / match_m, 0.0) for current in moments]

    return {
        "num_timesteps": len(moments),
        "num_gt_ids": len(truth_number),
        "num_tracker_ids": len(track_number),
        "num_gt_dets": sum(len(current[0]) for current in moments),
        "num_tracker_dets": sum(len(current[2]) for current in moments),
        "gt_ids": [np.array([truth_number[identity] for identity in current[0].tolist()], int) for current in moments],
        "tracker_ids": [
            np.array([track_number[identity] for identity in current[2].tolist()], int) for current in moments
        ],
        "similarity_scores": similarity,
    }


def _numbered(ids: Sequence[np.ndarray]) -> dict[int, int]:
    """Return a number from 0 up for each id, in their order."""
    if not ids:
        return {}
    return {name: number for number, name in enumerate(np.unique(np.concatenate(ids)).tolist())}


def distances(moment: Any) -> np.ndarray:
    """Return float64[n, m]: metres between each true and each tracked object."""
    first, second = moment[1], moment[3]
    first, second = np.reshape(first, (-1, 2)), np.reshape(second, (-1, 2))
    return np.hypot(first[:, None, 0] - second[None, :, 0], first[:, None, 1] - second[None, :, 1])


def ospa2(moments: Sequence[Any], window: int = 50, cut_m: float = GOSPA_CUT) -> float:
    """Return the mean OSPA(2) of windows of `window` moments, m (Beard, Vo, Vo 2017; order 1): tracks as a whole, their
    identity included.

    The distance of a true and an estimated track is their mean distance over the moments at which either is there, cut
    at `cut_m`, which
    is also the price of a moment at which only one of them is.
    """
    if not moments:
        return 0.0

    # A rest of less than half a window is left out
    begins = range(0, max(len(moments) - window // 2, 1), window)
    return float(np.mean([_ospa2(moments[begin : begin + window], cut_m) for begin in begins]))


def _ospa2(moments: Sequence[Any], cut_m: float) -> float:
    truth, tracks = _paths(moments, column=0), _paths(moments, column=2)
    count, track_count = len(truth), len(tracks)
    if not count or not track_count:
        return cut_m if count + track_count else 0.0

    cost = np.empty((count, track_count))
    for row, path in enumerate(truth):
        in_truth, in_tracks = np.isfinite(path[None, :, 0]), np.isfinite(tracks[:, :, 0])
        distance = np.minimum(np.hypot(*(tracks - path[None]).transpose(2, 0, 1)), cut_m)
        distance = np.where(in_truth & in_tracks, distance, cut_m) * (in_truth | in_tracks)
        cost[row] = distance.sum(1) / np.maximum((in_truth | in_tracks).sum(1), 1)

    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum() + cut_m * abs(count - track_count)) / max(count, track_count)


def _paths(moments: Sequence[Any], column: int) -> np.ndarray:
    """Return float64[ids, moments, 2], NaN where absent."""
    names = np.unique(np.concatenate([current[column] for current in moments]))
    paths = np.full((len(names), len(moments), 2), np.nan)
    for index, moment in enumerate(moments):
        paths[np.searchsorted(names, moment[column]), index] = np.reshape(moment[column + 1], (-1, 2))
    return paths


def _rmse_and_gospa(moments: Sequence[Any], match_m: float) -> tuple[float, float]:
    squares, total, gospa = 0.0, 0, 0.0
    for moment in moments:
        distance = distances(moment)

        rows, columns = linear_sum_assignment(np.minimum(distance, match_m))
        matched = distance[rows, columns] < match_m
        squares += float((distance[rows, columns][matched] ** 2).sum())
        total += int(matched.sum())

        clipped = np.minimum(distance, GOSPA_CUT) ** 2
        rows, columns = linear_sum_assignment(clipped)
        assigned = distance[rows, columns] < GOSPA_CUT
        unassigned = len(moment[0]) + len(moment[2]) - 2 * int(assigned.sum())
        gospa += (float(clipped[rows, columns][assigned].sum()) + GOSPA_CUT**2 / 2 * unassigned) ** 0.5

    return (squares / max(total, 1)) ** 0.5, gospa / max(len(moments), 1)
