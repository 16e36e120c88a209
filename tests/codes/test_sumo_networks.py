"""SUMO networks: generated ones, real ones, and those that went wrong."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from paths import CASES, DATA
from sumo_crossing import imported, one, road

from cloudctl import codes
from cloudctl.__main__ import main
from cloudctl.codes import compile_code
from cloudctl.codes.formats.sumo.reader import read_net

CROSSING = (DATA / "crossing.net.xml").read_text()


def netgenerate(path: Path, *options: str) -> Path:
    """Return a network that SUMO made."""
    home = Path(pytest.importorskip("sumo").SUMO_HOME)
    command = [home / "bin" / "netgenerate", *options, "--seed", "7", "-o", path]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SUMO_HOME": str(home)})
    return path


def test_a_long_import_shows_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = netgenerate(tmp_path / "grid.net.xml", "--grid", "--grid.number", "8", "-j", "traffic_light")
    assert main(["codes", "import", str(path), "--out", str(tmp_path / "out")]) == 0
    shown = re.findall(r"(\d+) of (\d+) intersections", capsys.readouterr().err)
    whole = len(list((tmp_path / "out").glob("*.json")))
    assert [int(done) for done, _ in shown] == sorted({-(-whole * k // 10) for k in range(1, 11)})
    assert {int(of) for _, of in shown} == {whole}


@pytest.mark.parametrize("options", [
    ("--grid", "--grid.attach-length", "60", "--lefthand", "-L", "3", "-j", "traffic_light"),
    ("--spider", "-j", "traffic_light", "--tls.default-type", "NEMA", "-L", "2", "--turn-lanes", "1"),
    ("--rand", "--rand.iterations", "25", "-j", "right_before_left", "--random-lanenumber", "-L", "3"),
    ("--grid", "-L", "2", "--sidewalks.guess", "--crossings.guess", "--bikelanes.guess", "--tls.guess"),
    ("--grid", "--no-internal-links", "--grid.attach-length", "60", "-j", "traffic_light", "--no-turnarounds"),
    ("--spider", "--lefthand", "-j", "allway_stop", "-L", "2", "--sidewalks.guess", "--crossings.guess"),
])  # fmt: skip
def test_generated_networks_give_codes_without_an_error(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = netgenerate(tmp_path / "made.net.xml", *options)
    done: list[tuple[int, int]] = []
    found = codes.import_sumo(path, unsignalised=True, progress=lambda *at: done.append(at))
    assert done == [(k, len(found)) for k in range(1, len(found) + 1)]
    assert len(found) >= 5
    for code in found:
        assert [str(finding) for finding in codes.validate(code) if finding.severity == "error"] == []
        assert codes.loads(codes.dump(code)) == code
    assert [str(loss) for loss in found.losses if "not read" in loss.detail or loss.what == "unknown"] == []


@pytest.mark.parametrize(
    "name", ["sumo_lane_permissions", "sumo_left_hand", "sumo_no_signal", "sumo_zero_length_joint"]
)
def test_the_cases_that_went_wrong_are_right(name: str) -> None:
    for code in imported((CASES / f"{name}.net.xml").read_bytes()):
        assert [str(finding) for finding in codes.validate(code) if finding.severity == "error"] == []
        compiled = compile_code(code)
        assert float(np.abs(compiled.path_xy).max()) < 400.0, "nothing runs to the origin of the network"


def test_rows_of_requests_are_found_without_inner_lanes_as_with_them() -> None:
    with_lanes = {tuple(sorted((c.a, c.b))): (c.a_yields, c.b_yields) for c in one(CROSSING).conflicts}
    bare = re.sub(r'(?s)<edge id=":c_\d.*?</edge>', "", CROSSING)
    bare = re.sub(r' via=":[^"]*"', "", re.sub(r'<connection from=":c_\d[^>]*/>', "", bare))
    found = {tuple(sorted((c.a, c.b))): (c.a_yields, c.b_yields) for c in one(bare).conflicts}
    assert found == with_lanes


def test_a_lane_longer_than_a_code_reaches_is_cut_at_its_far_end() -> None:
    data = road(["", ""]).replace(b'shape="0,', b'shape="-9000,')
    code = one(data)
    assert any("longer than" in loss.detail for loss in imported(data).losses)
    line = compile_code(code)
    assert line.path_length[line.lane_alias["w_0"]] == pytest.approx(4000.0, abs=1.0)


def test_a_real_network_is_read_the_same_from_its_text_and_its_file(tmp_path: Path) -> None:
    path = tmp_path / "crossing.net.xml"
    path.write_text(CROSSING)
    assert read_net(path).edges.keys() == read_net(Path("none"), data=CROSSING.encode()).edges.keys()
