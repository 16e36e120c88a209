"""What a source's statistics mean for the people who run it: each warning names the source, what it sends and the
remedy.
"""

from collections.abc import Iterator
from typing import Any

MIN_SCANS = 20  # of a source before anything is said of it
MAX_REFUSED = 0.5  # share of a source's scans that may be refused
MAX_DOUBLED = 0.02  # share of detections that may double another of their scan: at a birth, now and then, two are near
MIN_OFFSET_S = 0.2


def source_warnings(sources: dict[int, dict[str, Any]]) -> list[str]:
    """Return the warnings of all sources, in order; `sources` as `Fusion.stats` has them."""
    several = sum(source["scans"] >= MIN_SCANS for source in sources.values()) > 1
    return [
        f"source {number}: {warning}"
        for number, source in sources.items()
        for warning in (*_stamp_warnings(source), *_column_warnings(source), *_offset_warnings(source, several))
    ]


def _stamp_warnings(source: dict[str, Any]) -> Iterator[str]:
    if source["wrong_unit"]:
        yield (
            f"{source['wrong_unit']} scans are refused, for they are less than a millisecond apart. "
            "Give t_ns in nanoseconds: round(seconds * 1e9), milliseconds * 10**6"
        )
    elif source["refused"] > MIN_SCANS and source["refused"] > MAX_REFUSED * (source["scans"] + source["refused"]):
        yield (
            f"{source['refused']} of its scans are refused, too old or too far ahead of the others. "
            "Set its clock, by NTP or GNSS, or leave it out"
        )

    if abs(source["clock_offset"]) > MIN_OFFSET_S:
        side = "behind" if source["clock_offset"] > 0 else "ahead of"
        yield (
            f"its clock is {abs(source['clock_offset']):.2f} s {side} the others', which is made good. "
            "Set it, by NTP or GNSS"
        )


def _column_warnings(source: dict[str, Any]) -> Iterator[str]:
    if source["velocity"] == "rejected":
        ratio = source["velocity_ratio"]
        unit = " (km/h?)" if 3.2 < ratio < 4.0 else " (east and north swapped, or another sign?)" if ratio < 0.3 else ""
        yield (
            f"its velocities are {ratio:.2f} x the displacements{unit}, and are not used. "
            "Give vx, vy in m/s east and north, or leave them out"
        )

    if source["zero_velocity"] == "rejected":
        yield (
            "it reports a velocity of exactly 0 for road users that move, which is not used. Leave out what is not"
            " measured"
        )

    if source["scans"] >= MIN_SCANS and source["doubled"] > MAX_DOUBLED * source["detections"]:
        yield (
            f"{source['doubled']} of its detections are another one of the same scan again, and are left out. "
            "Send each road user once per scan"
        )


def _offset_warnings(source: dict[str, Any], several: bool) -> Iterator[str]:
    if several and source["weight"] > 300 and not source["latency_observable"] and source["kind"] != "cooperative":
        yield (
            "its latency cannot be told from its bias, for all road users it shares with others move alike; the"
            f" latency stays at {1000 * source['lag']:.0f} ms. Give latency_ms and bias_m where they are known"
        )
