"""Exports that prove themselves: what is written is read back by our own reader and compared with the code, field by
field.

A difference is either in the table of its target, with its reason, and then printed as a loss, or the export is
refused. GeoJSON and the compact form have no such table: they come back exactly."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ..canon import compact, from_compact
from ..findings import CodeError, Finding, refuse
from ..model import IntersectionCode
from ..rule import RULE_KINDS
from .differences import Difference, Pairing, declared_losses
from .geojson import read_geojson, write_geojson
from .round_trip import differences
from .ydt.export import YdtWriter, number_losses
from .ydt.importer import import_ydt
from .ydt.uper import MAP, Modules

SUFFIX = {"mapem": ".mapem", "j2735": ".map", "ydt3709": ".ydt.json", "geojson": ".geojson", "compact": ".cc"}
NO_FIELD = "the message has no place for it"
TIMES = "the message has no times: what holds at times is left out, a limit is taken at all times at its lowest"
LANE_CLOSED = (
    "the message cannot say whom a rule keeps out of the lane, or when, or where: it is closed to all whom it would "
    "let in with them"
)
MAY_DIFFER_IN_MAP = {  # what may differ after a MAP of either standard: (field, what) -> why
    ("id", "changed"): "the message names the intersection by its number",
    ("name", "changed"): "names in the message have 63 ASCII characters at most: any other is left out",
    ("control", "changed"): "the message says only whether there are signals",
    **{
        (name, "changed"): NO_FIELD
        for name in (
            "accuracy_cm",
            "valid_from",
            "valid_to",
            "connections.waits",
            "signal_groups.kind",
            "signal_groups.channels",
        )
    },
    **{
        (name, "lost"): NO_FIELD
        for name in (
            "alias",
            "nodes",
            "plans",
            "zones",
            "devices",
            "signal_exceptions",
            "links.alias",
            "links.nodes",
            "lanes.alias",
            "connections.alias",
            "crosswalks.alias",
            "crosswalks.polygon",
            "rules.notes",
        )
    },
    ("links.role", "changed"): "a road out that leads back to an approach stands as a road out",
    ("lanes.upstream", "lost"): "the message has the roads at the intersection only, not those before them",
    ("lanes", "doubled"): "a road that leads out and in again stands once as each",
    ("lanes.number", "changed"): "lanes are numbered by their places, from the left, when the message is read",
    **{(name, "closed"): LANE_CLOSED for name in ("lanes.use", "lanes.shared", "lanes.access")},
    ("lanes.points", "rounded"): "the message counts in other steps: lines move by less than 3 cm",
    (
        "lanes.points",
        "thinned",
    ): "the message holds fewer points: those within 2 cm of the line through the others are left out",
    ("crosswalks.axis", "rounded"): "the message counts in other steps: lines move by less than 3 cm",
    (
        "crosswalks.axis",
        "thinned",
    ): "the message holds fewer points: those within 2 cm of the line through the others are left out",
    **{
        (name, "rounded"): "limits are steps of 0.02 m/s: the next lower one"
        for name in ("lanes.speed", "lanes.limit", "connections.speed")
    },
    **{
        (name, "lowered"): "a limit that holds at times, for some, or on parts is taken at its lowest"
        for name in ("lanes.speed", "lanes.limit")
    },
    **{
        (
            "connections.speed",
            what,
        ): "the message has no limit for it (a MAPEM has four a lane): a reader takes that of the lane before"
        for what in ("raised", "lowered")
    },
    (
        "lanes.speed",
        "restated",
    ): "where parts of a lane have limits of their own, the speed of the lane is the highest of them when the "
    "message is read",
    ("connections.joints", "lost"): "the message has the roads at the intersection only, not those before them",
    (
        "connections.points",
        "redrawn",
    ): "the message has no path for it through the intersection (a MAPEM has four a lane): a reader draws one",
    ("connections.points", "rounded"): "the message counts in other steps: lines move by less than 3 cm",
    (
        "connections.points",
        "thinned",
    ): "the message holds fewer points: those within 2 cm of the line through the others are left out",
    **{
        (
            "conflicts",
            what,
        ): "the message has no conflicts: a reader finds them from the paths, and who yields from the turns"
        for what in ("lost", "changed", "added")
    },
    ("signal_groups.unused", "lost"): "the message has groups only where something is controlled by them",
    ("stop_lines", "added"): "in the message every lane that leads in ends at a stop line",
    ("stop_lines.pedestrian", "lost"): "a lane for pedestrians has no stop line when the message is read",
    **{(f"rules.{kind}", "lost"): NO_FIELD for kind in RULE_KINDS},
    **{(f"rules.{kind}", "lost"): TIMES for kind in ("speed_max", "speed_min", "school_zone", "construction")},
    **{
        (
            f"rules.{kind}",
            "lost",
        ): "the message gives the users of a lane for buses, taxis, trams and bicycles only, at all times and on its "
        "whole length"
        for kind in ("bus_lane", "lane_use")
    },
    **{(f"rules.{kind}", "added"): TIMES for kind in ("speed_max", "school_zone", "construction")},
    **{
        (
            f"rules.{kind}",
            "added",
        ): "in the message a lane for buses or trams is closed to others, and so is one for users that it cannot name"
        for kind in ("bus_lane", "lane_use")
    },
}
MAY_DIFFER_IN_J2735 = MAY_DIFFER_IN_MAP | {
    ("revision", "changed"): "the message counts revisions modulo 128",
    (
        "rules.turn_ban",
        "lost",
    ): "the message bans a connection to all but buses, taxis, bicycles and pedestrians only, at all times",
}
MAY_DIFFER_IN_YDT = MAY_DIFFER_IN_MAP | {
    ("revision", "changed"): NO_FIELD,
    (
        "lanes.points",
        "shortened",
    ): "in the message a lane ends at its stop line: what is beyond belongs to the movement",
}


class Exported(NamedTuple):
    """A code in another format, what of it is not as it was (for people), and each single difference."""

    data: bytes
    losses: list[Finding]
    differences: list[Difference]


class Number(NamedTuple):
    """The number by which a message names an intersection."""

    id: int
    region: int | None = None


def export_code(
    code: IntersectionCode,
    target: str,
    *,
    number: Number | None = None,
    station: int = 0,
    modules: Modules | None = None,
) -> Exported:
    """Return a code in a format of `SUFFIX`, proved. Raises CodeError for what does not fit, or would not come back as
    it is.

    `number` is the registry's, and needed where the code has no alias of that kind; `station` stands in the header of a
    MAPEM; with `modules` YD/T 3709 is written in UPER."""
    if target in ("geojson", "compact"):
        return _exact_export(code, target)
    if target == "ydt3709":
        return _ydt_export(code, number or own_number(code, "ydt3709"), modules)

    return _map_export(code, target, number or own_number(code, "j2735"), station)


def own_number(code: IntersectionCode, kind: str) -> Number:
    """Return the number that a code's alias gives it. Raises CodeError without one."""
    alias = next((entry.value for entry in code.alias if entry.kind == kind), None)
    if alias is None:
        raise refuse(
            where=code.id,
            entity="code",
            field="alias",
            value="none",
            rule=f"has no {kind} number of its own",
            remedy="give --id, and --region, as the registry allots them",
        )

    region, _, number = alias.rpartition("/")
    if not number.isdecimal() or not (region or "0").isdecimal():
        raise refuse(
            where=code.id,
            entity="code",
            field="alias",
            value=alias,
            rule=f"a {kind} number is region/id",
            remedy="correct the alias, or give --id, and --region",
        )

    return Number(int(number), int(region or 0) or None)


def _exact_export(code: IntersectionCode, target: str) -> Exported:
    data = write_geojson(code) if target == "geojson" else compact(code)
    read_back = read_geojson(data) if target == "geojson" else from_compact(data)
    if read_back != code:
        raise refuse(
            where=f"export to {target}",
            entity="code",
            field="content",
            value=target,
            rule="does not come back as it was",
            remedy="report this, with the code",
        )

    return Exported(data, [], [])


def _map_export(code: IntersectionCode, target: str, number: Number, station: int) -> Exported:
    from .j2735.encode import encode_map
    from .j2735.export import MapWriter
    from .j2735.importer import import_map

    writer = MapWriter(code, trajectories=target == "mapem")
    data = encode_map(
        writer.tree(number.id, number.region), frame=target == "j2735", station=station if target == "mapem" else None
    )
    read_back = _read_back("MAP", lambda: import_map(data))
    lane_of_alias = {alias.value: lane.id for lane in read_back.lanes for alias in lane.alias if alias.kind == "j2735"}
    lanes, exits = (
        {name: lane_of_alias[str(number)] for name, number in numbers.items() if str(number) in lane_of_alias}
        for numbers in (writer.numbers, writer.exits)
    )

    return _proved(
        code=code,
        read_back=read_back,
        pairing=Pairing(lanes, exits),
        allowed=MAY_DIFFER_IN_J2735,
        where="a MAP",
        data=data,
    )


def _ydt_export(code: IntersectionCode, number: Number, modules: Modules | None) -> Exported:
    writer = YdtWriter(code, number.id, number.region or 0)
    tree: dict[str, Any] = writer.tree()
    data = modules.write(MAP, tree) if modules else msgspec.json.encode(tree)
    read_back = _read_back(
        "a MAP of YD/T 3709", lambda: import_ydt(modules.read(MAP, data) if modules else msgspec.json.decode(data))
    )
    lane_of_alias = {
        alias.value: lane.id for lane in read_back.lanes for alias in lane.alias if alias.kind == "ydt3709"
    }
    lanes, exits = (
        {name: lane_of_alias[key] for name, key in keys.items() if key in lane_of_alias}
        for keys in (writer.keys, writer.exits)
    )

    proved = _proved(
        code=code,
        read_back=read_back,
        pairing=Pairing(lanes, exits),
        allowed=MAY_DIFFER_IN_YDT,
        where="a MAP of YD/T 3709",
        data=data,
    )

    return proved._replace(losses=[*proved.losses, *number_losses(code)])


def _read_back(where: str, read: Any) -> IntersectionCode:
    try:
        (code,) = read()
    except (CodeError, ValueError) as error:
        reason = str(error.findings[0]) if isinstance(error, CodeError) else str(error)
        raise refuse(
            where=f"export to {where}",
            entity="code",
            field="content",
            value=where,
            rule=f"our own reader does not read it back ({reason})",
            remedy="correct the code, or publish the digital code itself",
        ) from None

    result: IntersectionCode = code
    return result


def _proved(
    code: IntersectionCode,
    read_back: IntersectionCode,
    pairing: Pairing,
    allowed: Mapping[tuple[str, str], str],
    where: str,
    data: bytes,
) -> Exported:
    found_differences = differences(code, read_back, pairing)
    return Exported(
        data,
        declared_losses(found_differences, allowed, where, "publish the digital code itself, or correct what is named"),
        found_differences,
    )
