"""Reading the node's file again while it runs: what takes effect at once, and what only a restart can change."""

from pathlib import Path

from msgspec.structs import replace

from ..io.zeromq import KeyPair
from .config import NodeConfig, code_files, load

# What a running node takes over; every other key needs a restart.
CHANGEABLE = {
    ("node", "codes"),
    ("node", "calendar"),
    ("node", "status"),
    ("record", "part_mb"),
    ("record", "part_minutes"),
    ("record", "keep_mb"),
    ("record", "keep_days"),
    ("plan", "period_ms"),
    ("plan", "refresh"),
}


def reread(running: NodeConfig, keys: KeyPair | None, file: Path) -> tuple[NodeConfig, list[str]]:
    """Return the configuration that a node which runs with `running` and `keys` takes over from its file, and a line for each key that waits for a restart.

    Raises ConfigError or ZeroMqError for a file that cannot be used: nothing of it is taken over then.
    """
    wanted = load(file)
    wanted_keys = wanted.keys()
    code_files(wanted)
    lines = []
    sections = {}
    for section in ("node", "broker", "http", "record", "plan"):
        now, then = getattr(running, section), getattr(wanted, section)
        kept = {}
        for key in now.__struct_fields__:
            if getattr(now, key) != getattr(then, key) and (section, key) not in CHANGEABLE:
                kept[key] = getattr(now, key)
                lines.append(
                    f"[{section}] {key} has changed in {file}, and takes effect when the node is started again"
                )
        sections[section] = replace(then, **kept)
    if running.node.key == wanted.node.key and keys != wanted_keys:
        lines.append(f"the key pair in {wanted.node.key} has changed, and takes effect when the node is started again")
    return replace(wanted, **sections), lines
