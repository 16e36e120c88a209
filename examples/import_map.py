"""Another format becomes a digital code: what was lost on the way, whether it is sound, what the rules say, a drawing.

python examples/import_map.py MAP OUT     e.g. tests/data/crossing.osm out
"""

import sys
import time
from pathlib import Path

from cloudctl import codes
from cloudctl.codes.rules import Vehicle, effective


def main(path: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    # The format is known by the content: SUMO, Lanelet2, OpenDRIVE, MAP of J2735 or YD/T 3709, GeoJSON.
    imported = codes.read_any(path.read_bytes(), str(path))
    for loss in imported.losses:
        print(f"  {loss}")

    for number, code in enumerate(imported):
        print(
            f"{code.id}: {len(code.lanes)} lanes, {len(code.connections)} movements, {len(code.signal_groups)} signal"
            " groups"
        )
        for finding in codes.validate(code):
            print(f"  {finding}")

        lane = next(lane for lane in code.lanes if lane.use == "vehicle")
        for kind in ("car", "truck"):
            rules = effective(code, lane.id, Vehicle(kind), time.time_ns())
            print(f"  lane {lane.id}, {kind}: {'open' if rules.allowed else 'closed'}, up to {rules.speed_max:.1f} m/s")

        (out / f"{number}.json").write_bytes(codes.dump(code))  # canonical: its hash is the hash of these bytes
        (out / f"{number}.svg").write_text(codes.show_svg(code))
        print(f"  wrote {out / f'{number}.json'} and its drawing")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
