"""The tracker by itself, on arrays: two sensors that see the same car and a pedestrian become two tracks.

python examples/track_arrays.py
"""

import numpy as np

from cloudctl.fusion import Fusion, SourceConfig, detections
from cloudctl.schema import ObjectClass

SCANS = 50
INTERVAL = 100_000_000  # ns between two scans of one sensor
NOISE = 0.3  # m, 1 sigma


def main() -> None:
    rng = np.random.default_rng(1)
    fusion = Fusion()  # its defaults need no tuning
    # Where a sensor stands may be left out; told of it, the tracker knows where it cannot see.
    fusion.add_source(0, SourceConfig(x=-30.0, y=0.0, range_m=150.0))
    fusion.add_source(1, SourceConfig(x=40.0, y=10.0, range_m=150.0))

    for scan in range(SCANS):
        t = scan * INTERVAL
        truth = np.array([[8.0 * t / 1e9 - 20.0, 2.0], [3.0, -4.0]])  # m east and north: a car at 8 m/s, a pedestrian
        for source in (0, 1):
            seen = truth + rng.normal(0.0, NOISE, truth.shape)
            rows = detections(seen, class_=[ObjectClass.CAR, ObjectClass.PEDESTRIAN])
            fusion.update(
                t + source * 20_000_000, source, rows
            )  # the second is 20 ms late; any order of arrival is right

    tracks = fusion.tracks(t)  # one row a track, predicted to t
    for track in tracks:
        kind = ObjectClass(track["class"]).name.lower()
        print(
            f"track {track['id']}: {kind} at {track['x']:.1f}, {track['y']:.1f} m, {track['vx']:.1f} m/s, existence"
            f" {track['existence']:.2f}"
        )
    assert len(tracks) == 2, "each road user is one track, though two sensors see it"


if __name__ == "__main__":
    main()
