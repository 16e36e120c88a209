"""The names under which the node's counters are shown to others, after the conventions of Prometheus and OpenMetrics.

A counter of the node is `prefix.variant` and has sources: `reject.state` of a vehicle. Here it is the family of its
prefix, with the variant as a label. A counter whose prefix is in no table is shown under `OTHER`, so that none is lost.
"""

from enum import StrEnum
from typing import NamedTuple


class By(StrEnum):
    """What samples of a counter there are."""

    TOTAL = "total"  # one per counter
    # One per counter and intersection, where its sources stand at one
    INTERSECTION = "intersection"
    SOURCE = "source"  # one per counter and source


class Family(NamedTuple):
    """How the counters of one prefix are shown."""

    name: str  # without the _total that every sample of a counter has
    help: str
    variant: str = ""  # the label that holds the variant; "": there is none
    # The label that holds the source where sources are of a short, closed list; "": they are not
    kind: str = ""


FAMILIES: dict[str, Family] = {
    "accept": Family("cloudctl_messages_accepted", "Messages that were accepted.", "kind"),
    "ack": Family("cloudctl_acknowledgements", "Acknowledgements of advisories by vehicles.", "outcome"),
    "advisory": Family("cloudctl_advisories", "Advisories that were given.", kind="kind"),
    "broker": Family("cloudctl_broker_events", "Events of the embedded MQTT broker.", "event"),
    "calendar": Family("cloudctl_calendar_events", "Calendars taken in or refused.", "event"),
    "clock": Family("cloudctl_clock_events", "Steps of the machine's clock and what came of them.", "event"),
    "code": Family("cloudctl_code_events", "Events of digital codes: announced, refused, in force or not.", "event"),
    "drop": Family("cloudctl_drops", "What was dropped for want of room, time or connection.", "what"),
    "egress": Family("cloudctl_egress_events", "Events of the connection to the MQTT broker.", "event"),
    "fault": Family("cloudctl_faults", "Faults of the node itself, each confined to where it was.", "place"),
    "gateway": Family("cloudctl_gateway_events", "Events of gateways' connections.", "event"),
    "hazard": Family("cloudctl_hazard_events", "Events of hazards.", "event"),
    "perception": Family("cloudctl_perception_events", "Peculiarities of accepted perception.", "event"),
    "priority": Family("cloudctl_priority_requests", "Requests to signal controllers.", "action"),
    "record": Family("cloudctl_recording_events", "Events of the recording.", "event"),
    "reject": Family("cloudctl_messages_rejected", "Messages, or parts of them, that were refused.", "kind"),
    "reload": Family("cloudctl_reloads", "Readings of the node's file while it ran.", "outcome"),
    "sensor": Family("cloudctl_sensor_troubles", "Troubles of sensors that began.", "trouble"),
    "sequence": Family("cloudctl_sequence_anomalies", "Sequence numbers that were not the next.", "anomaly"),
    "signal": Family("cloudctl_signal_faults", "Faults of signal states.", "check"),
    "sync": Family("cloudctl_sync_events", "Events of gateways' clocks.", "event"),
    "vehicle": Family("cloudctl_vehicle_events", "Peculiarities of what vehicles send.", "event"),
}
OTHER = Family("cloudctl_events", "Events of a kind that has no family of its own.", "event")

# Are set, not counted: `gauges` shows them
GAUGES_AMONG_COUNTERS = frozenset({"calendar.uncovered"})

# Whose sources are vehicles: a vehicle that calls itself as a roadside unit does is not taken for one.
OF_VEHICLES = frozenset({"ack", "vehicle"})
KINDS_OF_VEHICLES = frozenset({"acks", "hello", "inbox", "plausibility", "reject", "requests", "state", "vehicle_id"})


def family_of(counter: str) -> tuple[Family, str]:
    """Return the family of a counter, and its variant there."""
    prefix, _, variant = counter.partition(".")
    family = FAMILIES.get(prefix)
    if family is None or bool(family.variant) != bool(variant):
        return OTHER, counter
    return family, variant


def has_place(counter: str) -> bool:
    """Return whether the sources of a counter may stand at an intersection."""
    prefix, _, variant = counter.partition(".")
    return prefix not in OF_VEHICLES and variant not in KINDS_OF_VEHICLES
