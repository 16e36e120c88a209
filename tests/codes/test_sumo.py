"""Import of real SUMO networks: the conflict matrix is SUMO's own, lines join, approaches reach back."""

from pathlib import Path

import numpy as np
import pytest
from paths import outside

from cloudctl import codes, maps
from cloudctl.codes import CodeError
from cloudctl.codes.formats.sumo.reader import read_net

COLOGNE = {
    path.parent.name: path
    for path in outside("data/resco/cologne1/cologne1.net.xml", "data/resco/cologne3/cologne3.net.xml")
}


def network(name: str) -> Path:
    if name.startswith("corridor"):
        return maps.path("corridor.net.xml.gz")
    if name.startswith("fokr"):
        sumo = pytest.importorskip("sumo")
        return Path(sumo.__file__).parent / "tools" / "game" / "fokr_bs_demo" / "fokr_bs.net.xml.gz"
    return COLOGNE[name]


ALL = pytest.mark.parametrize("name", ["corridor", "fokr", *COLOGNE])


@ALL
def test_conflicts_are_the_foes_of_the_network(name: str) -> None:
    net = read_net(network(name))
    for code in codes.import_sumo(network(name)):
        ours = {tuple(sorted((c.a, c.b))) for c in code.conflicts}
        rows = {c.id: _row(net, c) for c in code.connections if c.inner}
        theirs = {
            tuple(sorted((a, b)))
            for a, (junction, i) in rows.items()
            for b, (other, j) in rows.items()
            if junction == other and a != b and net.requests[junction][i]["foes"][-1 - j] == "1"
        }
        assert ours == theirs
        for c in code.conflicts:
            (junction, i), (_, j) = rows[c.a], rows[c.b]
            assert c.a_yields == (net.requests[junction][i]["response"][-1 - j] == "1")
            assert c.b_yields == (net.requests[junction][j]["response"][-1 - i] == "1")


def _row(net, connection) -> tuple[str, int]:
    """Return a movement's junction and row, found another way than the importer does: by counting the junction's
    movements."""
    start, _, end = connection.alias[0].value.partition(">")
    edge, _, lane = start.rpartition("_")
    to_edge, _, to_lane = end.rpartition("_")
    raw = next(
        c
        for c in net.connections
        if (c.from_edge, str(c.from_lane), c.to_edge, str(c.to_lane)) == (edge, lane, to_edge, to_lane)
    )
    junction = net.junctions[net.edges[edge].end]
    order = [lane for lane in junction.incoming if not lane.startswith(":")]
    here = [
        c
        for c in net.connections
        if c.from_edge in net.edges and c.to_edge in net.edges and net.edges[c.from_edge].end == junction.id
    ]
    first = [c.via for name in order for c in here if f"{c.from_edge}_{c.from_lane}" == name]
    assert raw.via in first
    number = raw.via.rpartition("_")[0].rpartition("_")[2]
    return junction.id, int(number) + int(raw.via.rpartition("_")[2])


@ALL
def test_codes_are_whole_and_round_trip(name: str) -> None:
    made = codes.import_sumo(network(name))
    assert (
        len({code.id for code in made}) == len(made) == {"corridor": 5, "cologne1": 1, "cologne3": 3, "fokr": 1}[name]
    )
    for code in made:
        assert [f for f in codes.validate(code) if f.severity == "error"] == []
        assert codes.loads(codes.dump(code)) == code
        assert codes.from_compact(codes.compact(code)) == code


@ALL
def test_compiled_arrays_hang_together(name: str) -> None:
    for code in codes.import_sumo(network(name)):
        c = codes.compile_code(code)
        for k in range(c.n_conns):
            path, ahead, behind = c.n_lanes + k, c.conn_to[k], c.conn_from[k]
            first, last = c.path_xy[c.path_start[path]], c.path_xy[c.path_start[path + 1] - 1]
            assert np.hypot(*(first - c.path_xy[c.path_start[behind + 1] - 1])) < 0.1
            assert np.hypot(*(last - c.path_xy[c.path_start[ahead]])) < 0.1
        assert (c.path_length > 0).all()
        assert (np.diff(c.cell_start) >= 0).all()
        assert len(c.cell_path) == c.cell_start[-1]
        upstream = c.lane_role == 1
        assert (np.isnan(c.lane_to_stop[upstream]) == (c.lane_ingress[upstream] < 0)).all()
        assert (c.conf_s >= 0).all()
        assert (c.conf_s <= np.repeat(c.path_length[c.n_lanes :], np.diff(c.conf_start)) + 0.05).all()


@ALL
def test_a_cell_lists_every_path_near_it(name: str) -> None:
    rng = np.random.default_rng(1)
    code = codes.compile_code(codes.import_sumo(network(name))[0])
    for path in rng.integers(0, code.n_lanes + code.n_conns, 60):
        rows = slice(code.path_start[path], code.path_start[path + 1])
        s = rng.uniform(0, code.path_length[path])
        x = np.interp(s, code.path_s[rows], code.path_xy[rows, 0]) + rng.uniform(-2, 2)
        y = np.interp(s, code.path_s[rows], code.path_xy[rows, 1]) + rng.uniform(-2, 2)
        cell = int((y - code.bounds[1]) // code.cell_m) * code.nx + int((x - code.bounds[0]) // code.cell_m)
        assert path in code.cell_path[code.cell_start[cell] : code.cell_start[cell + 1]]


def test_approaches_of_several_edges_reach_back() -> None:
    for code in codes.import_sumo(network("fokr")):
        c = codes.compile_code(code)
        assert (c.lane_role == 1).any()
        far = np.nanmax(c.lane_to_stop[c.lane_role == 1])
        assert far > 50.0


def test_a_network_with_bicycles_and_crossings() -> None:
    code = codes.import_sumo(network("fokr"))[0]
    assert len(code.crosswalks) == 8
    assert all(walk.group for walk in code.crosswalks)
    assert {lane.use for lane in code.lanes} >= {"vehicle", "bike", "pedestrian"}


@pytest.mark.parametrize("around", ["{}", "<additional>{}</additional>"])
def test_a_programme_of_an_additional_file_parts_groups_with_or_without_a_root_around_it(
    tmp_path: Path, around: str
) -> None:
    net = maps.path("intersection.net.xml.gz")
    own = codes.import_sumo(net)[0]
    group = next(group for group in own.signal_groups if len(group.channels) > 1)
    width = 1 + max(channel for group in own.signal_groups for channel in group.channels)
    letters = ["r"] * width
    letters[group.channels[0]] = "G"
    signal = next(alias.value for alias in own.alias if alias.kind == "sumo_tl")
    programme = (
        f'<tlLogic id="{signal}" type="static" programID="second" offset="0"><phase duration="30"'
        f' state="{"".join(letters)}"/></tlLogic>'
    )
    file = tmp_path / "second.add.xml"
    file.write_text(around.format(programme))

    code = codes.import_sumo(net, additional=[file])[0]

    assert [plan.id for plan in code.plans] == [*(plan.id for plan in own.plans), "second"]
    assert (group.channels[0],) in [found.channels for found in code.signal_groups]
    assert group.channels[1:] in [found.channels for found in code.signal_groups]


def test_losses_are_told(tmp_path: Path) -> None:
    import gzip

    text = gzip.decompress(maps.path("intersection.net.xml.gz").read_bytes()).decode()
    bare = text.replace("+proj=tmerc", "!").replace('projParameter="!', 'projParameter="!" was="')
    path = tmp_path / "bare.net.xml"
    path.write_text(bare)
    made = codes.import_sumo(path)
    assert any(loss.what == "guessed" and loss.entity == "location" for loss in made.losses)
    assert abs(made[0].ref_lat_e7 - 397955000) < 1000
    assert b"laid at Beijing E-Town" in made.report()


@pytest.mark.parametrize(
    "text", ["", "<net/>", "<net><edge id='a'/></net>", "no xml", "<net><location netOffset='x,y'/></net>"]
)
def test_what_is_no_network_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.net.xml"
    path.write_text(text)
    with pytest.raises(CodeError, match="netconvert"):
        codes.import_sumo(path)
    with pytest.raises(CodeError, match="netconvert"):
        codes.import_sumo(tmp_path / "nothing.net.xml")
