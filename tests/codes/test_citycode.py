"""City codes and the BeiDou grid: the standard's vectors, round trips in all hemispheres, check characters."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.codes import citycode, grid

LAT, LON = 397955000, 1165080000


def test_annex_vector_of_the_standard() -> None:
    lat = Fraction(39) + Fraction(59, 60) + Fraction("35.38") / 3600
    lon = Fraction(116) + Fraction(18, 60) + Fraction("45.37") / 3600
    assert grid.encode_exact(lat, lon, 8) == "N50J47539B825534"


@pytest.mark.parametrize(
    ("level", "code"),
    [
        (5, "N50J572077A"),
        (6, "N50J572077A2"),
        (7, "N50J572077A237"),
        (8, "N50J572077A23711"),
        (10, "N50J572077A237114466"),
    ],
)
def test_e_town(level: int, code: str) -> None:
    assert grid.grid_encode(LAT, LON, level) == code
    assert len(code) == grid.LENGTHS[level - 1]


places = st.tuples(st.integers(-879_999_999, 879_999_999), st.integers(-1_800_000_000, 1_800_000_000))


@given(places, st.integers(1, 10))
def test_a_cell_holds_its_point_and_encodes_to_itself(place: tuple[int, int], level: int) -> None:
    code = grid.grid_encode(*place, level)
    south, west, north, east = grid.grid_decode(code)
    assert south <= Fraction(place[0], 10**7) <= north
    assert west <= Fraction(place[1], 10**7) <= east
    assert grid.encode_exact((south + north) / 2, (west + east) / 2, level) == code


@given(places, st.integers(2, 10))
def test_neighbours_see_each_other(place: tuple[int, int], level: int) -> None:
    code = grid.grid_encode(*place, level)
    around = grid.neighbours(code)
    assert code not in around
    assert len(around) == 8 or abs(place[0]) > 875_000_000
    assert all(code in grid.neighbours(other) for other in around)


@pytest.mark.parametrize(("lat", "lon", "start"), [(1, 1, "N31A"), (1, -1, "N30A"), (-1, 1, "S31A"), (-1, -1, "S30A")])
def test_hemispheres(lat: int, lon: int, start: str) -> None:
    assert grid.grid_encode(lat, lon, 3) == start + "00" + "0"


def test_cover_of_a_polygon() -> None:
    south, west, north, east = (int(v * 10**7) for v in grid.grid_decode("N50J572077A237"))
    one = [(south + 50, west + 50), (south + 50, east - 50), (north - 50, east - 50), (north - 50, west + 50)]
    assert grid.cover(one, 7) == ["N50J572077A237"]
    four = [(p[0] + (north - south) // 2, p[1] + (east - west) // 2) for p in one]
    assert len(grid.cover(four, 7)) == 4
    inside = [
        (south - 5000, west - 5000),
        (south - 5000, east + 5000),
        (north + 5000, east + 5000),
        (north + 5000, west - 5000),
    ]
    assert "N50J572077A237" in grid.cover(inside, 7)
    with pytest.raises(grid.GridError, match="coarser"):
        grid.cover([(0, 0), (0, 10**7), (10**7, 10**7)], 9)


@pytest.mark.parametrize(
    "code", ["", "X50J", "N61J", "N50W", "N50J4", "N50J4Z", "N50JC0", "N50J476", "N50J47539B825539"]
)
def test_grid_codes_that_are_not(code: str) -> None:
    with pytest.raises(grid.GridError):
        grid.grid_decode(code)


def test_a_city_code_and_its_parts() -> None:
    code = citycode.make("110115403", "IX", "N50J572077A237", 1)
    assert code[:-1] == "UST1.110115403.IX.N50J572077A237.0001"
    assert citycode.parse_code(code) == ("110115403", "IX", "N50J572077A237", 1, "")
    lane = citycode.sub_code(code, "L7")
    assert lane.startswith("UST1.110115403.IX.N50J572077A237.0001.L7")
    assert citycode.parse_code(lane).sub == "L7"


def test_every_single_slip_of_the_pen_is_found() -> None:
    code = citycode.make("110115403", "IX", "N50J572077A237", 1)
    for place, right in enumerate(code):
        for wrong in "0123456789ABXZ":
            if right.isalnum() and wrong != right:
                with pytest.raises(citycode.CityCodeError):
                    citycode.parse_code(code[:place] + wrong + code[place + 1 :])


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (("11", "IX", "N50J", 1), "6 or 9 digits"),
        (("110115", "QQ", "N50J", 1), "IX"),
        (("110115", "IX", "N5", 1), "BeiDou"),
        (("110115", "IX", "N50J", 10_000), "9999"),
        (("110115", "IX", "N50J", 1, "l-7"), "capital"),
    ],
)
def test_what_cannot_be_a_city_code(parts: tuple, says: str) -> None:
    with pytest.raises(citycode.CityCodeError, match=says):
        citycode.make(*parts)
