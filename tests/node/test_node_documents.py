"""What docs/security.md and docs/operations.md claim: each test that they name exists, each key of the node's file is
explained, each file runs as printed.
"""

import re
import tomllib
from pathlib import Path

import pytest
from paths import ROOT

from cloudctl.io.broker import NODE_RIGHTS, OPERATOR_RIGHTS, VEHICLE_RIGHTS
from cloudctl.node.config import SECTIONS, load
from cloudctl.node.init_folder import Ports, init_folder

SECURITY = (ROOT / "docs/security.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL)
PLACEHOLDER = "the public key of gateways/gateway-1/gateway.pub"


def test_every_test_that_a_claim_rests_on_exists() -> None:
    sources = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"`(test_[a-z_0-9]+)`", SECURITY)
    assert len(names) > 10
    assert [name for name in names if f"def {name}(" not in sources] == []
    files = re.findall(r"`(tests/[a-z_/]+\.py)`", SECURITY)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_rights_in_the_document_are_those_of_the_acl() -> None:
    section = SECURITY.partition("## Another broker")[2]
    for line in (NODE_RIGHTS + OPERATOR_RIGHTS + VEHICLE_RIGHTS).splitlines():
        topic = line.split()[-1].replace("%u", "NAME")
        if topic in ("node", "operator") or "/" not in topic:
            continue
        assert topic in section or f"`{topic.rpartition('/')[2]}`" in section


def test_the_file_of_init_is_printed_as_it_is_written(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")  # without it, init leaves [http] out
    init_folder(tmp_path, None, "127.0.0.1", Ports())
    text = (tmp_path / "node.toml").read_text()
    key = load(tmp_path / "node.toml").gateway[0].key
    assert key is not None
    assert BLOCKS[0] == text.replace(key, PLACEHOLDER)


def test_every_key_of_the_nodes_file_is_explained() -> None:
    printed = [tomllib.loads(block) for block in BLOCKS]
    for name, section in SECTIONS.items():
        keys: set[str] = set()
        for table in printed:
            value = table.get(name, {})
            keys |= set(value[0] if isinstance(value, list) else value)
        assert set(section.__struct_fields__) - keys == set(), name
