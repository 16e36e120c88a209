"""The bridge by which the broker of an edge passes upward what a region gathers: store and forward are mosquitto's.

While the link is cut, the edge's broker keeps what is published at QoS 1, also across a restart of its own, and passes
it on in order when the link is back. What it loses when it is killed is what came since its last save (AUTOSAVE).
"""

from pathlib import Path
from typing import NamedTuple

from ..topics import MqttTopics

AUTOSAVE = 2  # s between two saves of what waits
MAX_KEPT = 1_000_000  # messages that wait for the region
# messages that are sent and not yet acknowledged; with 0 (no limit), a bridge of mosquitto 2.0 sends nothing at all
MAX_IN_FLIGHT = 10_000
RESTART = (1, 5)  # s between two attempts to reach the region, spread at random
# What a region gathers. `max_queued_bytes` stays 0: with a limit, mosquitto drops what it should keep (issue 2256).
UPWARD = (
    MqttTopics.traffic("+"),
    MqttTopics.copies("+"),
    MqttTopics.codes("+"),
    MqttTopics.node_status("+"),
)


class Bridge(NamedTuple):
    """The region that an edge's broker passes on to. `name`: the edge's, which no other edge has."""

    name: str
    address: str  # "host:port"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def bridge_lines(bridge: Bridge, folder: Path) -> list[str]:
    """Return the lines of a mosquitto configuration that make a bridge; what waits is kept in `folder`."""
    lines = [
        "persistence true",
        f"persistence_location {folder}/",
        f"autosave_interval {AUTOSAVE}",
        f"max_queued_messages {MAX_KEPT}",
        f"max_inflight_messages {MAX_IN_FLIGHT}",
        f"connection {bridge.name}",
        f"address {bridge.address}",
        f"remote_clientid {bridge.name}",
        f"local_clientid local.{bridge.name}",
        "bridge_protocol_version mqttv50",
        "cleansession false",
        # whether it is connected, to this edge's node alone
        "notifications true",
        "notifications_local_only true",
        f"notification_topic {MqttTopics.bridge(bridge.name)}",
        "try_private false",
        "start_type automatic",
        f"restart_timeout {RESTART[0]} {RESTART[1]}",
        "keepalive_interval 5",
    ]
    lines += [f"topic {topic} out 1" for topic in UPWARD]
    if bridge.ca is not None:
        lines.append(f"bridge_cafile {bridge.ca}")

    if bridge.cert is not None and bridge.key is not None:
        lines += [f"bridge_certfile {bridge.cert}", f"bridge_keyfile {bridge.key}"]

    return lines
