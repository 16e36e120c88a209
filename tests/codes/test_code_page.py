"""The HTML page of a digital code."""

import re
from pathlib import Path

from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.codes.rule import Calendar, Rule, Target

GOOD = codes.load(maps.path("intersection.json"))


def test_the_page_of_a_code_works_offline_and_names_everything(tmp_path: Path) -> None:
    (tmp_path / "code.json").write_bytes(codes.dump(replace(GOOD, name="<b>&")))
    assert main(["codes", "show", str(tmp_path / "code.json"), "--out", str(tmp_path / "code.html")]) == 0
    page = (tmp_path / "code.html").read_text()
    assert not re.search(r"(src|href)=|url\((?!#)|https?://(?!www\.w3\.org/2000/svg)", page), "nothing is fetched"
    assert "<b>&" not in page.replace("&lt;b&gt;&amp;", "")
    for name in (
        *(lane.id for lane in GOOD.lanes),
        *(c.id for c in GOOD.connections),
        *(walk.id for walk in GOOD.crosswalks),
    ):
        assert f'data-id="{name}"' in page
    drawn = {re.split(r"[: ]", title)[0] for title in re.findall(r"<title>([^<]*)</title>", page)}
    assert {c.id for c in GOOD.connections if c.inner} | {lane.id for lane in GOOD.lanes} <= drawn, (
        "a row finds its place in the drawing"
    )


def test_every_rule_is_drawn_and_listed() -> None:
    more = (
        Rule("R8", "turn_ban", (Target("C3"),), classes=("truck",)),
        Rule("R9", "construction", (Target("L1", 10.0, 90.0),), 8.33, temporary=True),
        Rule("R10", "height_max", (Target("K3"),), 4.2, calendar=Calendar((6, 7), ((420, 540),))),
        Rule("R11", "closure", (Target("L1", 10.0, 90.0),), temporary=True),
    )
    code = replace(GOOD, rules=(*GOOD.rules, *more))
    assert codes.validate(code) == []
    drawing = codes.show_svg(code)
    for words in (
        "R8: turn ban for truck on C3",
        "R9: construction 30 km/h on L1 10-90 m, temporary",
        "R10: height max 4.2 m on K3 Sa Su 07:00-09:00",
        "R11: closure on L1 10-90 m, temporary",
    ):
        assert f"<title>{words}</title>" in drawing
        assert words.replace(":", "", 1) in drawing
    many = codes.show_svg(replace(code, rules=tuple(replace(more[0], id=f"R{k}") for k in range(99))))
    assert re.search(r"and \d+ more", many)
