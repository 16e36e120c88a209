"""Digital codes: load and memory of 1,000, lookups, rules beside their plain twin, MAP and SPAT decode, what signal
states cost a node; processor time, best of five."""

import tracemalloc
from collections.abc import Callable

import msgspec
import numpy as np
from cloudctl.sim.common.terminal import table

from cloudctl import codes, maps
from cloudctl.clock import MS, SECOND, cpu
from cloudctl.codes import IntersectionCode
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.formats.j2735.encode import write_map
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.messages.uper import decode, unframe
from cloudctl.codes.registry import Index
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.engine import Engine, Output
from cloudctl.handlers.gateway import GatewayHandler
from cloudctl.schema import VERSION, Group, RawMessage, Signal, SignalState
from cloudctl.settings import EngineConfig
from cloudctl.signals.quality import SignalQuality
from cloudctl.signals.spat import read_spat, write_spat

CODES, QUERIES, PLAIN = 1000, 200_000, 2000
INTERSECTIONS, HZ, BATCH = 880, 10, 88
T = 1_767_225_600 * SECOND
ROUNDS = 5
STEPS = 300  # of signal states


def run() -> str:
    """Return the table: loading, lookup, rules and signals of many codes."""
    code = codes.load(maps.path("intersection.json"))
    return "\n\n".join([_loading(code), _lookups(code), _rules(code), _messages(code), _signals(code)])


def best(job: Callable[[], object]) -> float:
    """Return the least processor time of a few runs, s: what other programs took of the machine is not part of the
    figure."""
    job()
    durations = []

    for _ in range(ROUNDS):
        begin = cpu()
        job()
        durations.append((cpu() - begin) / SECOND)

    return min(durations)


def copies(code: IntersectionCode, count: int) -> list[IntersectionCode]:
    """Return codes as of a town: the same place again and again, 0.002 degrees apart, each with an id of its own."""
    side = 32
    made = []

    for index in range(count):
        lat, lon = (index // side) * 20_000, (index % side) * 20_000
        made.append(_moved(code, lat, lon))

    return made


def _moved(code: IntersectionCode, lat: int, lon: int) -> IntersectionCode:
    tree = msgspec.to_builtins(code)

    def move(node: object) -> object:
        if isinstance(node, dict):
            return {
                key: value + (lat if key.endswith("lat_e7") else lon) if key.endswith("_e7") else move(value)
                for key, value in node.items()
            }

        if isinstance(node, list | tuple):
            if len(node) == 2 and all(isinstance(number, int) and abs(number) > 10_000_000 for number in node):
                return [node[0] + lat, node[1] + lon]
            return [move(value) for value in node]

        return node

    moved = msgspec.convert(move(tree), IntersectionCode)
    grid = codes.citycode.make("110115403", "IX", codes.citycode.grid_encode(moved.ref_lat_e7, moved.ref_lon_e7), 1)
    return msgspec.structs.replace(moved, id=grid)


def _loading(code: IntersectionCode) -> str:
    files = [codes.dump(copy) for copy in copies(code, CODES)]
    parsed = best(lambda: [codes.loads(data) for data in files])
    loaded = [codes.loads(data) for data in files]
    compiled = best(lambda: [codes.compile_code(copy) for copy in loaded[:100]]) * CODES / 100
    tracemalloc.start()
    kept = [codes.loads(data) for data in files[:100]]
    model = tracemalloc.get_traced_memory()[0] / len(kept) / 1024
    arrays = [codes.compile_code(copy) for copy in kept]
    memory = tracemalloc.get_traced_memory()[0] / len(arrays) / 1024
    tracemalloc.stop()

    return table(
        [f"{CODES} codes of {len(files[0]) // 1024} KiB JSON", "value", "must"],
        [
            ["load and validate, s", parsed, "<= 2"],
            ["compile, s", compiled, ""],
            ["memory of one, loaded, KiB", model, ""],
            ["memory of one, loaded and compiled, KiB", memory, "<= 200"],
            ["compact form, bytes", len(codes.compact(code)), "<= 8192"],
        ],
    )


def _lookups(code: IntersectionCode) -> str:
    index = Index(copies(code, count=200))
    rng = np.random.default_rng(1)
    names = [index.names[pick] for pick in rng.integers(0, len(index.names), QUERIES)]
    lat, lon = (ref + rng.integers(-5000, 20_000 * 6, QUERIES) for ref in (code.ref_lat_e7, code.ref_lon_e7))
    by_name = best(lambda: [index[name] for name in names])
    by_place = best(lambda: index.near(lat, lon))

    return table(
        [f"lookups among {len(index.names)} entities", "M/s", "must"],
        [
            ["code -> entity", QUERIES / by_name / 1e6, ">= 1"],
            ["position -> entities", QUERIES / by_place / 1e6, ">= 1"],
        ],
    )


def _rules(code: IntersectionCode) -> str:
    more = (
        Rule(
            id="S1",
            kind="school_zone",
            targets=(Target("code"),),
            value=8.33,
            calendar=Calendar(weekdays=(1, 2, 3, 4, 5), minutes=((420, 540),), dates=None, holidays="never"),
        ),
        Rule(
            id="S2",
            kind="construction",
            targets=(Target(code.lanes[0].id, s_from=10.0, s_to=200.0),),
            value=11.1,
            temporary=True,
        ),
        Rule(id="S3", kind="mass_max", targets=(Target(code.links[0].id),), value=12.0),
        Rule(
            id="S4",
            kind="speed_max",
            targets=(Target(code.lanes[1].id),),
            value=13.0,
            classes=("truck", "bus"),
            priority=1,
        ),
    )

    code = msgspec.structs.replace(code, rules=(*code.rules, *more))
    ruled, rng = RuleTable(code, ("2026-05-01",)), np.random.default_rng(2)
    fleet = (Vehicle("car"), Vehicle("truck", mass=20.0, height=4.0), Vehicle("bus"), Vehicle("car", automated=True))
    names = list(ruled.paths)
    path = rng.integers(0, len(names), QUERIES)
    vehicle = rng.integers(0, len(fleet), QUERIES)
    time_ns = T + rng.integers(0, 365 * 86_400, QUERIES) * SECOND
    s = rng.random(QUERIES) * 300
    fast = best(lambda: ruled.effective(path, vehicle, time_ns, s, fleet=fleet)) / QUERIES

    rows = list(zip(*(column[:PLAIN].tolist() for column in (path, vehicle, time_ns, s)), strict=True))

    plain = (
        best(
            lambda: [
                effective(code, names[path_], fleet[vehicle_], moment, s=x, holidays=("2026-05-01",))
                for path_, vehicle_, moment, x in rows
            ]
        )
        / PLAIN
    )

    return table(
        [f"rules.effective, {len(code.rules)} rules", "M queries/s", "x plain", "must"],
        [["compiled", 1e-6 / fast, plain / fast, ">= 1"], ["plain twin", 1e-6 / plain, 1.0, ""]],
    )


def _groups(code: IntersectionCode, k: int) -> tuple[Group, ...]:
    """Return states that change every 5 s, as a signal's do."""
    step = k // 50
    end = T + (step + 1) * 5 * SECOND
    state = (SignalState.RED, SignalState.GREEN_PERMISSIVE, SignalState.YELLOW_PERMISSIVE)[step % 3]

    return tuple(
        Group(
            group=signal_group.id,
            state=state,
            min_end=end,
            max_end=end,
            likely_end=end,
            confidence=1.0,
            next_green=end + 20 * SECOND,
            next_duration=20 * SECOND,
        )
        for signal_group in code.signal_groups
    )


def _messages(code: IntersectionCode) -> str:
    sent = write_map(code, intersection=19, region=10, frame=True)
    spat = write_spat(intersection=19, revision=1, time_ns=T, groups=_groups(code, k=0), region=10, frame=True)
    map_tree, map_code = (
        best(lambda: [decode(*unframe(sent)) for _ in range(20)]) / 20,
        best(lambda: [import_map(sent) for _ in range(5)]) / 5,
    )
    spat_tree, spat_ours = (
        best(lambda: [decode(*unframe(spat)) for _ in range(200)]) / 200,
        best(lambda: [read_spat(spat, T) for _ in range(200)]) / 200,
    )

    return table(
        [f"UPER, pycrate: MAP {len(sent)} bytes, SPAT {len(spat)}", "messages/s"],
        [
            ["MAP to a tree", 1 / map_tree],
            ["MAP to a digital code", 1 / map_code],
            ["SPAT to a tree", 1 / spat_tree],
            ["SPAT to our states", 1 / spat_ours],
        ],
    )


def _signals(code: IntersectionCode) -> str:
    message = _signal_message(code)

    quality = SignalQuality(code)
    changes = [_groups(code, 50 * index) for index in range(STEPS)]  # of every group, each time
    times = [T + 5 * index * SECOND for index in range(STEPS)]
    checks = best(lambda: [quality.observe(time, time, 1, groups) for time, groups in zip(times, changes, strict=True)])
    spat = write_spat(intersection=19, revision=1, time_ns=T, groups=_groups(code, k=0), region=10, frame=True)
    uper = best(lambda: [read_spat(spat, T) for _ in range(100)]) / 100

    head = [
        f"signal states of {len(code.signal_groups)} groups",
        "us",
        f"% of a core at {HZ} Hz x {INTERSECTIONS}",
        "must",
    ]

    of_core = HZ * INTERSECTIONS * 100
    rows = [
        ["signal message: decode, checks, quality, states", 1e6 * message, message * of_core, "<= 5"],
        ["  of that, quality checks when every group changed", 1e6 * checks / STEPS, "", ""],
        ["the same as UPER SPAT, straight to the node", 1e6 * uper, uper * of_core, ""],
    ]

    return table(head, rows)


def _signal_message(code: IntersectionCode) -> float:
    """Return the processor time of one signal message in an engine of BATCH intersections, s: the least of ROUNDS."""
    intersections = copies(code, BATCH)
    encode = msgspec.msgpack.Encoder().encode
    batches = []

    for step in range(STEPS):
        time_ns, groups = T + step * 100 * MS, _groups(code, step)
        bodies = [
            encode(
                Signal(
                    version=VERSION,
                    rsu=f"r{index}",
                    intersection=intersection.id,
                    revision=1,
                    seq=step,
                    t=time_ns,
                    groups=groups,
                )
            )
            for index, intersection in enumerate(intersections)
        ]

        batches.append((time_ns + 5 * MS, [RawMessage("signal", "g", body) for body in bodies]))

    seconds = []
    rsus = {f"r{index}": intersection.id for index, intersection in enumerate(intersections)}

    for _ in range(ROUNDS):
        engine = Engine(intersections, EngineConfig({"g": rsus}))
        handler = GatewayHandler(
            intersections=engine.intersections,
            ingest=engine.ingest,
            scheduler=engine.scheduler,
            metrics=engine.metrics,
            faults=engine.faults,
        )

        begin = cpu()
        for time_ns, batch in batches:
            handler.handle(time_ns, engine.ingest.receive(time_ns, batch), Output())
        seconds.append((cpu() - begin) / SECOND / STEPS / BATCH)
        assert engine.metrics.total("accept.signal") == STEPS * BATCH

    return min(seconds)
