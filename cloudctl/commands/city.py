"""Commands about a city of several nodes: which node serves what, moving and draining."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from .parsers import add_command

MOVE_SECONDS, DRAIN_SECONDS = 30.0, 300.0  # that a command waits for what it asked for
MAX_COUNTERS = 4  # of an edge that are shown


def add_city_commands(commands: Any) -> None:
    """Add them."""
    city = add_command(commands, "city", "several nodes that share the intersections: docs/city.md").add_subparsers(
        metavar="COMMAND", required=True
    )
    status = _command(city, "status", "which node serves which intersection", _status)
    status.add_argument("--json", action="store_true", help="one JSON object")

    _command(city, "secure", "let only nodes, by their certificates, read and write what a city keeps in etcd", _secure)

    move = _command(city, "move", "move an intersection to a node, without a gap; it stays there", _move)
    move.add_argument("intersection")
    move.add_argument("node")
    _wait(move, MOVE_SECONDS)
    unpin = _command(city, "unpin", "let an intersection that was moved be where the hash puts it", _unpin)
    unpin.add_argument("intersection")

    add = _command(city, "add", "have the city serve one intersection more, on whichever node", _add)
    add.add_argument("code", type=Path, help="its digital code")
    add.add_argument("--gateway", default="", help="the gateway that its roadside units speak through")
    add.add_argument("--key", default="", help="the gateway's public key, or its .pub file")
    add.add_argument("--rsu", action="append", default=[], help="a roadside unit of it; may be repeated")
    remove = _command(city, "remove", "have the city no longer serve an intersection that was added", _remove)
    remove.add_argument("intersection")

    drain = _command(city, "drain", "have a node own nothing, before it is stopped: moves all it has", _drain)
    drain.add_argument("node")
    _wait(drain, DRAIN_SECONDS)
    undrain = _command(city, "undrain", "let a node that was drained own intersections again", _undrain)
    undrain.add_argument("node")


def add_capacity_command(commands: Any) -> None:
    """Add it."""
    plan = add_command(commands, "plan-capacity", "what a city needs, from measured unit costs", _plan_capacity)
    plan.add_argument("--intersections", type=_count, required=True)
    plan.add_argument("--rsus", type=_count, default=3, help="roadside units of an intersection (default 3)")
    plan.add_argument("--vehicles", type=_count, default=0, help="connected at once (default 0)")
    plan.add_argument("--hz", type=_positive, default=10.0, help="frames a second of a unit (default 10)")
    plan.add_argument("--objects", type=_count, default=30, help="road users of a frame (default 30)")
    plan.add_argument("--report-hz", type=_positive, default=1.0, help="reports a second of a vehicle (default 1)")
    plan.add_argument("--keep-days", type=_positive, default=0.0, help="of recordings (default: none are made)")
    plan.add_argument("--cores", type=_count, default=16, help="of a machine (default 16)")
    plan.add_argument("--memory", type=_positive, default=64.0, help="of a machine, GiB (default 64)")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0

    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")

    return value


def _command(city: Any, name: str, help: str, run: Any) -> argparse.ArgumentParser:
    parser = add_command(city, name, help, run)
    parser.add_argument(
        "--config", type=Path, default=Path("node.toml"), help="the file of any node of the city (default node.toml)"
    )
    return parser


def _wait(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("--wait", type=float, default=seconds, metavar="S", help=f"at most (default {seconds:.0f} s)")


def _section(args: argparse.Namespace) -> Any:
    from ..node.config import ConfigError, load

    section = load(args.config).city
    if not section.etcd:
        raise ConfigError(f"{args.config}: [city] is missing: this node is alone. docs/city.md says how several start")
    return section


def _status(args: argparse.Namespace) -> None:
    import msgspec

    from ..city.control import CityStatus, etcd_notes, status
    from ..node.config import load

    section = load(args.config).city
    city = asyncio.run(status(section)) if section.etcd else CityStatus([], [])
    reports, notes = _reports(args.config)
    edges = reports.edges

    if args.json:
        rows = {
            "nodes": [node._asdict() | _health(reports.nodes.get(node.node)) for node in city.nodes],
            "intersections": [place._asdict() for place in city.intersections],
            "edges": [edge._asdict() for edge in edges],
        }

        print(msgspec.json.encode(rows).decode())
        return

    for node in city.nodes:
        print(
            f"{node.node:<16} {node.state:<8} {node.owned:>5} intersections  {node.address}  {node.version}  "
            f"{_report_words(reports.nodes.get(node.node))}".rstrip()
        )

    for edge in edges:
        print(f"{edge.edge:<16} {'edge':<8} {len(edge.intersections):>5} intersections  {_report_words(edge)}")

    for place in city.intersections:
        marks = [f"pinned to {place.pinned}"] if place.pinned else []
        marks += [f"moving to {place.moving_to}"] if place.moving_to else []
        print(f"{place.intersection}  {place.node or 'nobody'}  epoch {place.epoch}  {', '.join(marks)}".rstrip())

    for edge in edges:
        for name in edge.intersections:
            print(f"{name}  {edge.edge}, an edge")

    if section.etcd:
        if not city.nodes:
            notes.append("no node has joined yet. One that has just been started compiles first; its log says so")
        notes += asyncio.run(etcd_notes(section))
    elif not edges:
        notes.append(f"{args.config}: [city] is missing: this node is alone. docs/city.md says how several start")

    for note in notes:
        print(f"note: {note}")


def _health(report: Any) -> dict[str, Any]:
    """Return what a node has reported of itself, as values for programs; nothing where it has not."""
    return {} if report is None else {"age": report.age, "load": report.load, "counters": report.counters}


def _report_words(report: Any) -> str:
    """Return what a node or edge has reported of itself, in words; "" where it has not."""
    from ..node_status import worst

    if report is None:
        return ""
    counters = ", ".join(f"{name} {count}" for name, count in worst(report.counters, MAX_COUNTERS))
    return f"load {100 * report.load:.0f} %, reported {report.age:.0f} s ago  {counters}".rstrip()


def _reports(file: Path) -> tuple[Any, list[str]]:
    """Return what edges and nodes have reported to the broker of a node's file; and why it is not known, where the
    broker is away."""
    from ..city.control import Reports, reports
    from ..clock import WallClock
    from ..node.broker_files import operator_section
    from ..node.config import load
    from ..node.credentials import CredentialError

    config = load(file)
    try:
        return asyncio.run(reports(operator_section(config), WallClock().now())), []
    except CredentialError as error:
        return Reports([], {}), [f"reports of nodes and edges are not known: {error}"]
    except (OSError, TimeoutError) as error:
        address = f"{config.broker.host}:{config.broker.port}"
        reason = error or type(error).__name__
        return Reports([], {}), [
            f"reports of nodes and edges are not known: the broker at {address} does not answer ({reason})"
        ]


def _secure(args: argparse.Namespace) -> None:
    from msgspec.structs import replace

    from ..city.control import secure
    from ..node.config import ConfigError
    from ..node.credentials import NODE_NAMES, Authority

    section = _section(args)
    if section.etcd_cert is None:
        raise ConfigError(f"{args.config}: [city] etcd_ca, etcd_cert and etcd_key are missing: etcd is open to anyone")

    folder = Path(section.etcd_cert).parent
    root = replace(section, etcd_cert=str(folder / "root.pem"), etcd_key=str(folder / "root.key"))
    users = sorted({issued.name for issued in Authority(folder).issued() if NODE_NAMES.fullmatch(issued.name)})
    was_new = asyncio.run(secure(section, root, users))
    print(f"etcd is closed: {', '.join(users)} may use {section.prefix}/{'' if was_new else ', as before'}")


def _move(args: argparse.Namespace) -> None:
    from ..city.control import move

    asyncio.run(move(_section(args), args.intersection, args.node, args.wait))
    print(f"{args.intersection} is at {args.node}, and stays there; cloudctl city unpin lets it go back")


def _plan_capacity(args: argparse.Namespace) -> None:
    from ..city.capacity import COSTS, Demand, Machine, plan_capacity

    names = Demand._fields
    demand = Demand(**{name: getattr(args, name) for name in names})
    machine = Machine(cores=max(args.cores, 1), memory=args.memory)
    plan = plan_capacity(demand, machine)
    print(
        f"{demand.intersections} intersections x {demand.rsus} units x {demand.hz:g} Hz x {demand.objects} objects, "
        f"{demand.vehicles} vehicles at {demand.report_hz:g} Hz: {plan.frames:,.0f} frames/s"
    )

    rows = (
        ("cores of nodes", f"{plan.node_cores:.1f}", f"{plan.workers} workers"),
        ("cores of brokers", f"{plan.broker_cores:.1f}", f"{plan.brokers} brokers, one a region, bridged"),
        ("memory", f"{plan.memory:.1f} GiB", ""),
        ("network, from gateways", f"{plan.network:.2f} Gbit/s", ""),
        ("disk for recordings", f"{plan.disk:.1f} TiB", f"{demand.keep_days:g} days"),
        ("machines", f"{plan.machines}", f"of {machine.cores} cores and {machine.memory:g} GiB, one of them to spare"),
        ("etcd servers", f"{plan.etcd}", "on three of the machines" if plan.etcd else "one machine needs none"),
    )
    for name, value, note in rows:
        print(f"  {name:<24}{value:>14}  {note}".rstrip())
    print("from these unit costs; measure them on your machines:")
    for name, cost in COSTS.items():
        print(
            f"  {name:<28}{cost.value:>10g}  {cost.unit}  ({'' if cost.is_measured else 'an estimate; '}{cost.command})"
        )


def _unpin(args: argparse.Namespace) -> None:
    from ..city.control import unpin

    was_pinned = asyncio.run(unpin(_section(args), args.intersection))
    print(f"{args.intersection} {'goes where the hash puts it' if was_pinned else 'was not pinned'}")


def _add(args: argparse.Namespace) -> None:
    from .. import codes
    from ..city.control import add
    from ..io.mqtt import publish_retained
    from ..io.zeromq import check_key, read_keys
    from ..node.broker_files import operator_section
    from ..node.config import ConfigError, load
    from ..node.config_rules import binding_faults
    from ..topics import MqttTopics

    section, config, code = _section(args), load(args.config), codes.load(args.code)
    if bool(args.gateway) != bool(args.rsu) or bool(args.gateway) != bool(args.key):
        raise ConfigError("--gateway, --key and --rsu belong together: name all three, or none")

    key = read_keys(Path(args.key)).public if args.key.endswith(".pub") else args.key
    if key:
        check_key(key, "--key")

    if fault := next(binding_faults(config.gateway, args.gateway, dict.fromkeys(args.rsu, code.id)), None):
        raise ConfigError(fault)

    asyncio.run(publish_retained(operator_section(config), MqttTopics.codes(code.id), codes.compact(code)))
    asyncio.run(add(section, code, args.gateway, key, args.rsu))
    print(f"{code.id} revision {code.revision} was added; within seconds: cloudctl city status")


def _remove(args: argparse.Namespace) -> None:
    from ..city.control import remove

    was_added = asyncio.run(remove(_section(args), args.intersection))
    remark = "" if was_added else ": it was not; what stands under [node] codes is taken out there"
    print(f"{args.intersection} was taken out{remark}")


def _drain(args: argparse.Namespace) -> None:
    from ..city.control import drain

    count = asyncio.run(drain(_section(args), args.node, args.wait))
    print(f"{args.node} owns nothing: {count} intersections were moved. It may be stopped; then: cloudctl city undrain")


def _undrain(args: argparse.Namespace) -> None:
    from ..city.control import undrain

    was_drained = asyncio.run(undrain(_section(args), args.node))
    print(f"{args.node} {'takes its part again' if was_drained else 'was not drained'}")
