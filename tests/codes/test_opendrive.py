"""OpenDRIVE: curves against their closed forms, whole maps against the SUMO networks they were made of."""

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cloudctl import codes, maps
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.importing.accounting import Accounts
from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.codes.formats.opendrive.road import read_road, without_redundant_points

WIDE = (
    '<lanes><laneSection s="0"><center><lane id="0"/></center><right><lane id="-1" type="driving"><width sOffset="0" '
    'a="3"/></lane></right></laneSection></lanes>'
)


def road(geometry: str, length: float = 50.0, x: float = 10.0, y: float = 20.0, hdg: float = 0.3, lanes: str = WIDE):
    view = f'<planView><geometry s="0" x="{x}" y="{y}" hdg="{hdg}" length="{length}">{geometry}</geometry></planView>'
    return read_road(
        Accounts("OpenDRIVE", {}).xml(f'<road id="1" length="{length}" junction="-1">{view}{lanes}</road>'.encode())
    )


def local(found, s: np.ndarray) -> np.ndarray:
    """Return places on the reference line, put back to begin at 0, 0 eastwards."""
    xy = found.place(s, np.zeros_like(s)) - [10.0, 20.0]
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    return xy @ turn


S = np.linspace(0, 50, 26)


@pytest.mark.parametrize(
    ("geometry", "form"),
    [
        ("<line/>", lambda s: (s, 0 * s)),
        ('<arc curvature="0.02"/>', lambda s: (np.sin(0.02 * s) / 0.02, (1 - np.cos(0.02 * s)) / 0.02)),
        ('<arc curvature="-0.05"/>', lambda s: (np.sin(0.05 * s) / 0.05, -(1 - np.cos(0.05 * s)) / 0.05)),
        ('<poly3 a="0" b="0" c="0.004" d="0.0001"/>', lambda s: (s, 0.004 * s**2 + 0.0001 * s**3)),
        (
            '<paramPoly3 pRange="arcLength" aU="0" bU="1" cU="0" dU="0" aV="0" bV="0" cV="0.003" dV="0"/>',
            lambda s: (s, 0.003 * s**2),
        ),
        (
            '<paramPoly3 aU="0" bU="50" cU="0" dU="0" aV="0" bV="0" cV="7.5" dV="0"/>',
            lambda s: (s, 7.5 * (s / 50) ** 2),
        ),
    ],
)
def test_a_curve_is_its_closed_form(geometry: str, form) -> None:
    assert np.abs(local(road(geometry), S) - np.stack(form(S), axis=1)).max() < 0.01


def test_a_spiral_is_fresnels_integral() -> None:
    special = pytest.importorskip("scipy.special")
    sine, cosine = special.fresnel(S / np.sqrt(np.pi * 50 / 0.04))
    scale = np.sqrt(np.pi * 50 / 0.04)
    assert (
        np.abs(
            local(road('<spiral curvStart="0" curvEnd="0.04"/>'), S) - np.stack([cosine, sine], axis=1) * scale
        ).max()
        < 0.01
    )


def test_lanes_lie_beside_the_line_and_run_with_the_traffic() -> None:
    lanes = (
        '<lanes><laneOffset s="0" a="1"/><laneSection s="0"><left><lane id="1" type="driving"><width sOffset="0" '
        'a="4"/></lane></left><center><lane id="0"/></center>'
        '<right><lane id="-1" type="driving"><width sOffset="0" a="3"/></lane><lane id="-2" type="biking"><width '
        'sOffset="0" a="2" b="0.02"/></lane></right></laneSection></lanes>'
    )
    found = road("<line/>", hdg=0.0, x=0.0, y=0.0, lanes=lanes)
    lines = {k: found.line(found.chain(k, True)) for k in (1, -1, -2)}
    assert np.allclose(lines[1], [[50, 3], [0, 3]])
    assert np.allclose(lines[-1], [[0, -0.5], [50, -0.5]])
    assert np.allclose(lines[-2][[0, -1]], [[0, -3], [50, -3.5]])


def test_a_line_is_thinned_within_its_bound() -> None:
    curve = np.stack([S, np.sin(S / 8)], axis=1)
    short = without_redundant_points(curve)
    assert len(short) < len(curve)
    assert np.abs(np.interp(S, short[:, 0], short[:, 1]) - curve[:, 1]).max() < 0.05


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network as netconvert writes it in OpenDRIVE."""
    sumo = pytest.importorskip("sumo")
    folder = tmp_path_factory.mktemp("xodr")
    (folder / "i.net.xml").write_bytes(gzip.decompress(Path(maps.path("intersection.net.xml.gz")).read_bytes()))
    program = Path(sumo.SUMO_HOME) / "bin" / "netconvert"
    subprocess.run(
        [program, "-s", folder / "i.net.xml", "--opendrive-output", folder / "i.xodr"], check=True, capture_output=True
    )
    return folder / "i.xodr"


def test_a_whole_map_is_the_network_it_was_made_of(drawn: Path) -> None:
    (code,) = found = read_any(drawn.read_bytes(), "i.xodr")
    assert codes.validate(code) == []
    want = codes.compile_code(codes.load(maps.path("intersection.json")))
    have = codes.compile_code(code)
    assert (have.n_conns, len(code.crosswalks)) == (want.n_conns, 4)
    ends = [
        {
            (
                *np.rint(c.path_xy[c.path_start[c.n_lanes + k]] * 2).astype(int),
                *np.rint(c.path_xy[c.path_start[c.n_lanes + k + 1] - 1] * 2).astype(int),
                int(c.conn_turn[k]),
            )
            for k in range(c.n_conns)
            if c.conn_inner[k]
        }
        for c in (want, have)
    ]
    assert ends[0] == ends[1]
    assert sorted(have.lane_width[have.lane_role == 0]) == sorted(
        want.lane_width[(want.lane_role == 0) & (want.lane_use != 2)]
    )
    assert len({c.group for c in code.connections}) == 22
    assert any("light" in loss.detail for loss in found.losses)


@pytest.mark.parametrize(
    "text",
    [
        "<OpenDRIVE/>",
        "<OpenDRIVE><road id='1' length='x'/></OpenDRIVE>",
        "<OpenDRIVE><header><geoReference>nonsense</geoReference></header></OpenDRIVE>",
        "<OpenDRIVE><junction id='1'><connection incomingRoad='7' connectingRoad='8'><laneLink from='-1' "
        "to='-1'/></connection></junction></OpenDRIVE>",
    ],
)
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(codes.CodeError) as caught:
        import_opendrive(text.encode())
    assert caught.value.findings[0].remedy
