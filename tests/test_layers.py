"""The design's layers, held: a module imports only lower ones, and a few names are imported in one place only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = (
    ("declared",),
    ("schema", "clock", "metrics", "geo", "gcj02", "maps", "_core", "__init__"),
    ("topics", "rates"),
    ("events",),
    ("codes",),
    ("detections", "fusion_settings"),
    ("fusion", "matching", "refusals", "faults", "acks", "covered", "as_ruled"),
    ("gateways", "payloads", "signal_groups", "sources", "hazards", "plausibility", "timekeeping"),
    ("frames",),
    ("ingest",),
    ("signals",),
    ("world",),
    ("planner",),
    ("traffic", "sensing"),
    ("place",),
    ("corridor", "roster", "scans", "scheduling", "signal_priority"),
    ("revisions",),
    ("engine",),
    ("container", "parts"),
    ("recorder",),
    ("wire", "log", "broker"),
    ("config",),
    ("mqtt",),
    ("egress",),
    ("chunks",),
    ("view",),
    ("web",),
    ("calendars",),
    ("publish", "reload"),
    ("live", "replay", "playback", "client", "doctor"),
    ("sim",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ONLY = {  # what may be imported where, and why
    "time": ({"clock"}, "only clock.py reads time, so that a replay is the run"),
    "zmq": ({"wire"}, "only wire.py speaks ZeroMQ, so that sockets and keys are in one place"),
    "gmqtt": ({"mqtt"}, "only mqtt.py speaks MQTT for the node, so that the end of a connection is in one place"),
    "aiohttp": ({"web"}, "only web.py serves HTTP, so that what can be asked is in one place"),
    "aiomqtt": ({"client"}, "only client/vehicle.py uses the vehicle's MQTT client"),
    "_core": ({"fusion", "detections", "fusion_settings"}, "the C core has one door, fusion.py and the two modules it is made of"),
    "asyncio": (
        {"egress", "mqtt", "live", "playback", "view", "client", "broker", "__main__", "sim"},
        "asyncio stays at the edges; the engine has no loop",
    ),
    "mcap": ({"log", "parts", "chunks"}, "only log.py, parts.py and chunks.py read the file format; container.py writes it"),
}


def modules() -> list[tuple[str, Path]]:
    out = []
    for folder, prefix in (("cloudctl", ""), ("sim", "sim"), ("maps", "maps")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            inner = path.relative_to(ROOT / folder).parts
            out.append((prefix or inner[0].removesuffix(".py"), path))
    return out


def imports(name: str, path: Path) -> list[str]:
    """Return what a file imports: our modules by their first name, others by their top name."""
    base = ROOT / {"sim": "sim", "maps": "maps"}.get(name, "cloudctl")
    package = ["cloudctl", *([name] if name in ("sim", "maps") else []), *path.relative_to(base).parts[:-1]]
    out = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            out += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            out += [f"{stem}.{alias.name}" for alias in node.names] if stem == "cloudctl" else [stem]
    return [found.split(".")[1] if found.startswith("cloudctl.") else found.split(".")[0] for found in out]


@pytest.mark.parametrize(
    ("name", "path"), modules(), ids=lambda value: str(value.relative_to(ROOT)) if isinstance(value, Path) else ""
)
def test_a_module_imports_only_lower_layers(name: str, path: Path) -> None:
    for found in imports(name, path):
        if found in RANK and found != name:
            assert RANK[found] < RANK[name], (
                f"{path.name} is layer {RANK[name]} and imports {found}, layer {RANK[found]}"
            )
        if found in ONLY and name not in ("tests", "bench"):
            where, why = ONLY[found]
            assert name in where, f"{path.name} imports {found}: {why}"


def test_every_module_has_a_layer() -> None:
    assert {name for name, _ in modules()} - set(RANK) == set()
