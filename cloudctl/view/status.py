"""What the page's panels show of one intersection once a second: sensors, traffic, why advice is withheld."""

from typing import Any

from ..clock import MS, SECOND
from ..ingest.sources import Sources
from ..intersection import IntersectionState
from ..planner import Withheld, gate
from ..traffic_messages import Traffic

MAX_WITHHELD = 40  # proposals that are listed
REMEMBERED = 5 * SECOND  # a proposal is listed for so long after it was withheld last
BIAS_DIGITS = 2


class Withholding:
    """The proposals of one intersection that were not sent of late, each with its newest reason."""

    def __init__(self) -> None:
        # (target, kind) -> (ns, words of the advisory, why it was not sent)
        self._rows: dict[tuple[str, str], tuple[int, str, str]] = {}

    def note(self, time_ns: int, withheld: list[Withheld]) -> None:
        """Take in what was withheld at `time_ns`."""
        for candidate, reason in withheld:
            self._rows[candidate.target, candidate.kind.value] = (
                time_ns,
                candidate.reason.format(**candidate.facts),
                reason,
            )

        if len(self._rows) > 4 * MAX_WITHHELD:
            self._rows = dict(sorted(self._rows.items(), key=lambda item: item[1][0])[-MAX_WITHHELD:])

    def rows(self, time_ns: int, target: str | None = None) -> list[dict[str, Any]]:
        """Return those of the last REMEMBERED, the newest first; of one `target`, or of all."""
        recent = [
            item
            for item in self._rows.items()
            if 0 <= time_ns - item[1][0] <= REMEMBERED and target in (None, item[0][0])
        ]

        recent.sort(key=lambda item: -item[1][0])
        return [
            {"target": key[0], "kind": key[1], "t": noted / MS, "proposal": words, "why": reason}
            for key, (noted, words, reason) in recent[:MAX_WITHHELD]
        ]


def status_of(
    time_ns: int,
    index: int,
    intersection: IntersectionState,
    sources: Sources,
    traffic: Traffic | None,
    withholding: Withholding,
) -> dict[str, Any]:
    """Return the panels of an intersection as plain values."""
    world = intersection.latest
    signal, perception = gate(world) if world is not None else (None, None)

    return {
        "index": index,
        "t": time_ns / MS,
        "gate": {
            "signal": signal,
            "perception": perception,
            "doubt": world.doubt_reason if world else None,
            "sensors": world.sensor_trouble if world else None,
        },
        "withheld": withholding.rows(time_ns),
        "sensors": sensors_of(time_ns, intersection, sources),
        "traffic": traffic,
        "hazards": len(intersection.hazards.now(time_ns)),
    }


def sensors_of(time_ns: int, intersection: IntersectionState, sources: Sources) -> list[dict[str, Any]]:
    """Return each sensor's rate, age, clock offset, and the bias and noise that fusion has found of it."""
    table, sources_of = intersection.sensing.table(), intersection.fusion.stats()["sources"]
    rows = []

    for (rsu, sensor), source in sources.of_intersection(intersection.code.code.id):
        row = table.get(f"{rsu}/{sensor}", {})
        health = sources_of.get(source.index, {})
        newest = row.get("newest_frame")

        rows.append(
            {
                "name": f"{rsu}/{sensor}",
                "gateway": source.gateway,
                "hz": row.get("hz"),
                "declared_hz": row.get("declared_hz"),
                "silent_s": round((time_ns - newest) / SECOND, 1) if isinstance(newest, int) else None,
                "age_s": row.get("age_s"),
                "clock_offset": row.get("clock_offset"),
                "alive": row.get("alive"),
                "trouble": row.get("trouble"),
                "bias_x": _rounded(health.get("bias_x")),
                "bias_y": _rounded(health.get("bias_y")),
                "sigma": _rounded(health.get("sigma")),
                "lag_s": _rounded(health.get("lag")),
                "p_detect": _rounded(health.get("p_detect")),
            }
        )

    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), BIAS_DIGITS)
