"""City codes of the intersections of MAP messages that lie in one grid cell, and their revisions."""

import json
import subprocess
import sys
from pathlib import Path

from cloudctl import codes
from cloudctl.__main__ import main
from cloudctl.codes.citycode import parse_code
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.registry import Registry

T = 1_700_000_000_000_000_000


def test_two_intersections_of_one_message_in_one_cell_have_two_codes(tmp_path: Path) -> None:
    tree = _message(5)
    tree["intersections"] += _message(6)["intersections"]
    assert len({code.id for code in import_map(tree)}) == 2
    (tmp_path / "map.json").write_text(json.dumps(tree))
    assert main(["codes", "import", str(tmp_path / "map.json"), "--out", str(tmp_path / "out")]) == 0
    assert len({codes.load(path).id for path in (tmp_path / "out").glob("*.json")}) == 2


def test_two_messages_in_one_cell_have_two_codes_in_one_folder(tmp_path: Path) -> None:
    for number, east in ((5, 0), (6, 300)):
        (tmp_path / f"{number}.json").write_text(json.dumps(_message(number, east)))
        assert main(["codes", "import", str(tmp_path / f"{number}.json"), "--out", str(tmp_path / "out")]) == 0
    found = [codes.load(path) for path in sorted((tmp_path / "out").glob("*.json"))]
    assert [alias.value for code in found for alias in code.alias] == ["0/5", "0/6"]
    assert [parse_code(code.id).serial for code in found] == [1, 2]


def _message(number: int, east_cm: int = 0) -> dict:
    """Return a MAP in JSON: two one-way roads that cross; `east_cm` moves its lanes, not its reference point."""

    def lane(
        name: int, ingress: bool, first: tuple[int, int], step: tuple[int, int], to: int = 0, group: int = 0
    ) -> dict:
        joins = [{"connectingLane": {"lane": to}, "signalGroup": group}] if to else []
        return {
            "laneID": name,
            "ingressApproach" if ingress else "egressApproach": name,
            "laneAttributes": {
                "directionalUse": {"ingressPath": ingress, "egressPath": not ingress},
                "laneType": {"vehicle": {}},
            },
            "nodeList": {
                "nodes": [
                    {"delta": {"node-XY6": {"x": first[0] + east_cm, "y": first[1]}}},
                    {"delta": {"node-XY6": {"x": step[0], "y": step[1]}}},
                ]
            },
            "connectsTo": {"connectsTo": joins},
        }

    lanes = [
        lane(1, True, (-1000, -200), (-5000, 0), 2, 1),
        lane(2, False, (1000, -200), (5000, 0)),
        lane(3, True, (200, -1000), (0, -5000), 4, 2),
        lane(4, False, (200, 1000), (0, 5000)),
    ]
    ref = {"latitude": 39.7955, "longitude": 116.508}
    return {
        "intersections": [
            {
                "id": {"id": number},
                "revision": 3,
                "name": f"I{number}",
                "refPoint": ref,
                "laneWidth": 330,
                "laneSet": {"GenericLane": lanes},
            }
        ]
    }


def test_a_message_with_another_revision_keeps_it_on_the_wire(tmp_path: Path) -> None:
    from cloudctl.codes.versions import wire_revision

    for revision, limit, want in ((3, 13.9, 4), (4, 13.9, 5), (4, 11.1, 133), (126, 11.1, 255), (0, 11.1, 257)):
        tree = _message(5)
        tree["intersections"][0] |= {
            "revision": revision,
            "speedLimits": {"speedLimits": [{"type": "vehicleMaxSpeed", "speed": round(limit / 0.02)}]},
        }
        (tmp_path / "map.json").write_text(json.dumps(tree))
        assert main(["codes", "import", str(tmp_path / "map.json"), "--out", str(tmp_path / "out")]) == 0
        code = codes.load(tmp_path / "out" / "0.json")
        assert (code.revision, wire_revision(code)) == (want, revision)


def test_imports_at_the_same_time_give_no_code_twice(tmp_path: Path) -> None:
    """Eight processes import eight intersections of one cell into one folder at once."""
    for number in range(8):
        (tmp_path / f"{number}.json").write_text(json.dumps(_message(number + 1, number * 300)))
    program = [sys.executable, "-m", "cloudctl", "codes", "import"]
    running = [
        subprocess.Popen(
            [*program, str(tmp_path / f"{k}.json"), "--out", str(tmp_path / "out")], stdout=subprocess.DEVNULL
        )
        for k in range(8)
    ]
    assert [process.wait() for process in running] == [0] * 8
    found = [codes.load(path) for path in (tmp_path / "out").glob("*.json")]
    assert sorted(parse_code(code.id).serial for code in found) == list(range(1, 9))
    assert len(Registry.load(tmp_path / "out" / "registry.jsonl")) == 8
