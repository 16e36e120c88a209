"""A scenario in a network namespace of its own (`unshare -n`): one node of a city is cut off from everything, then the
link comes back. Prints what was seen, as JSON."""

import json
import subprocess
import sys
from pathlib import Path

from city_nodes import NAMES, City, gaps, overlaps
from etcd_cluster import Cluster

from cloudctl.io import broker

GROUP = 54_321  # of the node that is cut off: packets are dropped by the group of the process that sends them


def cut(is_cut: bool) -> None:
    """Drop, or no longer drop, every packet that the node sends."""
    command = ["iptables", "-A" if is_cut else "-D", "OUTPUT", "-m", "owner", "--gid-owner", str(GROUP), "-j", "DROP"]
    subprocess.run(command, check=True)


def main(folder: Path) -> None:
    mqtt = broker.start(folder / "broker")
    try:
        with Cluster(folder / "etcd") as cluster:
            city = City(folder / "city", cluster, mqtt.port)
            victim = city.nodes["south"]
            victim.group = GROUP
            with city:
                owned = [name for name, node in city.settle().items() if node == "south"]
                city.fleet.drive(0.5)
                cut(True)
                city.fleet.drive(6.0)
                owners = city.owners()
                cut(False)
                city.fleet.drive(3.0)
            spans = city.spans()
    finally:
        mqtt.stop()
    print(
        json.dumps(
            {
                "owned": owned,
                "owners": owners,
                "overlaps": [[list(span) for span in pair] for pair in overlaps(spans)],
                "served": sorted({span.intersection for span in spans}) == sorted(NAMES),
                "gap": max(gaps(spans).values(), default=0.0),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
