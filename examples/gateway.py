"""A roadside unit: what its camera sees and what the signals show, ten times a second.

python examples/gateway.py ADDRESS KEYS SECONDS     e.g. tcp://127.0.0.1:7788 keys 20
"""

import math
import sys
import time

from approach import CODE, NANOSECONDS, ORIGIN, SPEED, pose

from cloudctl.client import Gateway
from cloudctl.schema import Group, SignalState


def objects_at(t_ns: int) -> list[dict[str, object]]:
    """Return what the camera sees: the car of `approach.py`. Metres east and north of the origin that goes with the
    frame.
    """
    car = pose(t_ns)
    velocity = {"vx": SPEED * math.cos(car.heading), "vy": SPEED * math.sin(car.heading)}
    return [{"id": 1, "x": car.x, "y": car.y, **velocity, "length": 4.6, "width": 1.8, "class": "car"}]


def groups_at(t_ns: int) -> list[Group]:
    """Return every signal group red for 12 s more, then green for 20 s: as if the vehicle always came at the wrong
    moment.
    """
    end = t_ns + 12 * NANOSECONDS
    return [
        Group(
            group=group.id,
            state=SignalState.RED,
            min_end=end,
            max_end=end,
            likely_end=end,
            confidence=1.0,
            next_green=end,
            next_duration=20 * NANOSECONDS,
        )
        for group in CODE.signal_groups
    ]


def main(address: str, keys: str, seconds: float) -> None:
    # The gateway's own secret key, and the node's public key: CURVE encrypts, and the node knows who speaks.
    with Gateway(
        address, ["rsu-1"], name="gateway-1", key=f"{keys}/gateway-1.key", node_key=f"{keys}/node.pub"
    ) as gateway:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = time.time_ns()
            gateway.perception("rsu-1", "camera-1", ORIGIN.lat, ORIGIN.lon, objects_at(now), now)
            # The revision says which digital code the groups belong to; with another one the node withholds advice and
            # says so.
            gateway.signal("rsu-1", CODE.id, CODE.revision, groups_at(now), now)
            gateway.poll(0)  # prints why, where something was refused
            time.sleep(0.1)
        print(f"gateway: {gateway.sent} messages sent, {gateway.rejected} refused, {gateway.dropped} dropped")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
