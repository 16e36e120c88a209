"""The layers of the design, enforced: a module imports only from lower layers, and a few libraries have one importer
each.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# For each package, its modules and sub-packages from the lowest layer to the highest. One layer's members do not import
# one another.
# A package that is not listed has no order of its own, beside having no circle.
LAYERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "cloudctl": (
        (
            "_core",
            "clock",
            "datums",
            "driving",
            "errors",
            "geo",
            "logs",
            "maps",
            "metrics",
            "node_status",
            "python_sources",
            "rates",
            "rule_fields",
            "validation",
        ),  # depend on nothing
        ("kernels", "one_tree"),
        ("__init__", "schema", "events", "faults"),
        ("ownership_messages",),
        ("codes",),  # what a place is; knows nothing of traffic
        (
            "detections",
            "fusion_health",
            "fusion_settings",
            "settings",
            "topics",
            "traffic_messages",
            "payloads",
            "lane_stretches",
            "road_users",
            "rule_subjects",
            "acknowledgements",
            "tiles",
        ),
        ("fusion", "matching"),
        (
            "ingest",
            "signals",
            "io",
        ),  # I/O below the engine: it can be replaced by a recording, and the engine cannot reach it
        ("broadcasts", "hazards", "perception", "scans", "world"),
        ("snapshots",),
        ("forecast", "sensor_health"),
        ("approaches",),
        ("planner", "traffic"),
        ("intersection",),
        ("downstream", "intersection_factory", "output", "scheduling", "signal_priority", "vehicles"),
        ("neighbours",),
        ("handlers", "plan_runner", "revisions"),
        ("served",),
        ("engine",),
        ("view",),
        ("foxglove",),
        ("telemetry",),
        ("api",),
        ("client", "city", "replay"),
        ("recordings",),
        ("node",),
        ("sim",),
        ("commands",),
        ("__main__",),
    ),
    "cloudctl.city": (
        ("__init__", "added", "capacity", "etcd", "rendezvous"),
        ("ownership",),
        ("fixed", "records"),
        ("control", "moves"),
        ("leases",),
    ),
    "cloudctl.codes": (
        ("byte_order_mark", "findings", "grid", "rule", "terms"),
        ("citycode", "model", "strict_json"),
        ("canon", "days", "distinct", "json_schema", "polylines", "registry"),
        ("polygons", "when"),
        ("public_holidays", "report", "rules", "versions"),
        ("compiled",),
        ("checks",),
        ("draw", "formats", "update"),
        ("__init__", "command"),
    ),
    "cloudctl.codes.formats": (
        ("__init__", "geojson", "held_limits", "importing"),
        ("messages", "sumo"),
        ("differences", "j2735", "lanelet2", "opendrive", "ydt"),
        ("comparison",),
        ("limit_differences", "rule_differences"),
        ("round_trip",),
        ("detect", "export"),
    ),
    "cloudctl.forecast": (("__init__", "prediction", "stop_line"), ("following", "lanes")),
    "cloudctl.ingest": (
        ("__init__", "rejections"),
        ("gateways", "plausibility", "signal_groups", "sources", "vehicle_checks"),
        ("frames", "hellos"),
        ("backlog", "batch"),
        ("replies",),
        ("messages",),
    ),
    "cloudctl.io": (
        ("addresses",),
        (
            "bridge",
            "echo",
            "handshakes",
            "http_answers",
            "http_guard",
            "notify",
            "ports",
            "private_files",
            "retained_topics",
        ),
        ("__init__", "broker", "http", "mqtt", "recording", "signatures", "zeromq"),
        ("signal_subscription", "tile_subscription", "vehicle_contacts"),
        ("egress",),
    ),
    "cloudctl.node": (
        ("__init__", "bridge_state", "calendars", "clock_steps", "copies", "credentials"),
        ("deployment", "example_scripts", "exposure", "kernel_lock"),
        ("config_rules",),
        ("config", "inbox", "operator_inputs", "peers", "pid_file", "reports"),
        (
            "added",
            "broker_files",
            "description",
            "health_probe",
            "neighbours",
            "other_viewers",
            "share",
            "upward",
            "workers",
        ),
        ("init_folder",),
        ("init_city", "publish", "receiving", "reload"),
        ("doctor", "http_side", "outgoing", "reloader", "startup"),
        ("live", "supervisor"),
    ),
    "cloudctl.node.doctor": (
        ("finding",),
        ("clocks", "machine"),
        ("broker_probe", "city", "files"),
        ("__init__",),
    ),
    "cloudctl.planner": (
        ("braking", "candidate", "policy", "priority_need"),
        ("class_evidence",),
        ("kinds", "priority"),
        ("screens",),  # lists their screens
        ("catalogue",),  # lists their plans
        ("filter",),
        ("gathering",),  # of what filters have sent
        ("screened",),
        ("__init__",),
        ("warm",),
    ),
    "cloudctl.signals": (
        ("__init__", "colours", "faults", "packed", "spat_time"),
        ("conflicts", "ends", "phase_order", "spat_fields"),
        ("spat_events",),
        ("quality",),
        ("spat", "states", "ydt_spat"),
    ),
    "cloudctl.api": (("__init__", "pages", "schema"), ("openapi", "state"), ("routes",)),
    "cloudctl.telemetry": (
        ("__init__", "families", "places", "pulse", "readiness", "timing"),
        ("exposition",),
        ("process",),
        ("gauges",),
        ("routes",),
    ),
    "cloudctl.view": (
        ("__init__", "columns", "errors", "events", "latency", "scene", "socket"),
        ("status", "viewers", "zone", "reasons"),
        ("city", "detail"),
        ("observer",),
        ("player", "routes"),
        ("playback", "serving"),
    ),
    "cloudctl.sim": (
        ("__init__", "common", "scenario"),
        ("loop", "report"),
        ("command", "demo", "study", "tracking"),
        ("warnings",),
    ),
}

# Libraries and modules with few importers: the module that may import each (and those below it), and why.
ONLY: dict[str, tuple[tuple[str, ...], str]] = {
    "time": (("cloudctl.clock",), "one module reads time, so that a replay is the run"),
    "zmq": (("cloudctl.io.zeromq",), "sockets, keys and their limits are in one place"),
    "gmqtt": (("cloudctl.io.mqtt",), "the node's MQTT connection, from CONNECT to its end, is in one place"),
    "aiohttp": (("cloudctl.io.http",), "what can be asked over HTTP is in one place"),
    "aiomqtt": (("cloudctl.client",), "only the vehicle client speaks MQTT that way"),
    "aetcd": (("cloudctl.city.etcd",), "the calls of etcd, and what they raise, are in one place"),
    "grpc": (("cloudctl.city.etcd",), "the calls of etcd, and what they raise, are in one place"),
    "mcap": (("cloudctl.io.recording",), "the file format of recordings is in one package"),
    "cloudctl._core": (
        ("cloudctl.fusion", "cloudctl.detections", "cloudctl.fusion_settings"),
        "the C core has one door: the tracker and the two modules it is made of",
    ),
    "asyncio": (
        (
            "cloudctl.city",
            "cloudctl.io",
            "cloudctl.node",
            "cloudctl.client",
            "cloudctl.telemetry.routes",
            "cloudctl.foxglove.socket",
            "cloudctl.view.routes",
            "cloudctl.view.socket",
            "cloudctl.view.playback",
            "cloudctl.commands",
            "cloudctl.sim",
        ),
        "event loops stay at the edges; the engine has none",
    ),
}


def _modules() -> dict[str, Path]:
    """Return the file of each module of the product, by dotted name; a package is `package.__init__`."""
    folders = (("cloudctl", "cloudctl"), ("sim", "cloudctl.sim"), ("maps", "cloudctl.maps"))
    return {
        ".".join((package, *path.relative_to(ROOT / folder).with_suffix("").parts)): path
        for folder, package in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


MODULES = _modules()


def _for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes below `if TYPE_CHECKING:`: they are not imported when the program runs."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {inner for block in blocks for inner in ast.walk(block)}


def imports(name: str) -> Iterator[str]:
    """Yield what a module imports, by dotted name: modules of ours as in `MODULES`, others by their top name."""
    tree = ast.parse(MODULES[name].read_text())
    package = name.split(".")[:-1]
    skipped = _for_types_only(tree)

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node not in skipped:
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            if stem.split(".")[0] != "cloudctl":
                yield stem.split(".")[0]
                continue
            for alias in node.names:
                full = f"{stem}.{alias.name}"
                candidates = (full, f"{full}.__init__", stem, f"{stem}.__init__")
                yield next((found for found in candidates if found in MODULES), full)


def _rank(package: str, child: str) -> int:
    return next(rank for rank, members in enumerate(LAYERS[package]) if child in members)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_lower_layers(name: str) -> None:
    for imported in imports(name):
        parts, other = name.split("."), imported.split(".")
        shared = next((k for k, (a, b) in enumerate(zip(parts, other, strict=False)) if a != b), None)
        if not shared:
            continue  # the module itself, or a library
        package = ".".join(parts[:shared])
        if package in LAYERS:
            assert _rank(package, other[shared]) < _rank(package, parts[shared]), (
                f"{name} imports {imported}, which is not in a lower layer of {package}"
            )


@pytest.mark.parametrize("name", MODULES)
def test_a_library_with_one_place_is_imported_there_only(name: str) -> None:
    for imported in imports(name):
        if imported in ONLY:
            allowed, reason = ONLY[imported]
            inside = any(name == place or name.startswith(f"{place}.") for place in allowed)
            assert inside, f"{name} imports {imported}: {reason}"


def test_every_module_has_a_layer() -> None:
    for package, layers in LAYERS.items():
        depth = package.count(".") + 1
        children = {name.split(".")[depth] for name in MODULES if name.startswith(f"{package}.")}
        listed = [member for members in layers for member in members if member != "_core"]
        assert sorted(listed) == sorted(children), f"the modules of {package} and its layers differ"


def test_no_modules_import_one_another_in_a_circle() -> None:
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in finished:
            for imported in imports(name):
                if imported in MODULES and imported != name:
                    visit(imported, (*trail, name))
            finished.add(name)

    for name in MODULES:
        visit(name, ())


def test_each_file_of_tests_has_a_name_of_its_own() -> None:
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        found.setdefault(path.name, []).append(path.relative_to(ROOT))
    shared = {name: paths for name, paths in found.items() if len(paths) > 1 and name != "conftest.py"}
    assert not shared, f"pytest imports tests by the file's name alone, so these stop a run of all: {shared}"
