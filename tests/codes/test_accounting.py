"""What an importer does not know is reported, whatever it is and wherever it stands; a refusal carries the report,
too."""

import io
import json
from collections.abc import Callable

import pytest
from accounted import Sample, silent_names, silent_values
from made_maps import rich_j2735, rich_ydt
from paths import DATA

from cloudctl.codes import CodeError
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.importing.accounting import MAX_GROUPS, Accounts, JsonRecord, XmlRecord, load_json
from cloudctl.codes.formats.j2735.vocabulary import IGNORED as J2735_IGNORED
from cloudctl.codes.formats.lanelet2.vocabulary import IGNORED as LANELET2_IGNORED
from cloudctl.codes.formats.opendrive.vocabulary import IGNORED as OPENDRIVE_IGNORED
from cloudctl.codes.formats.sumo.vocabulary import IGNORED as SUMO_IGNORED
from cloudctl.codes.formats.ydt.importer import IGNORED as YDT_IGNORED
from cloudctl.codes.report import Imported


def reader(name: str) -> Callable[[bytes], Imported]:
    return lambda data: read_any(data, name)


LANE_NAMES = {"laneSet/GenericLane@name": "a name for people"}  # as laneSet@name in the reader's own table
# One line an importer: a file with every element that it reads, and its table of what carries nothing about traffic.
SAMPLES = [
    Sample("J2735", reader("map.json"), json.dumps(rich_j2735()).encode(), J2735_IGNORED, LANE_NAMES),
    Sample(
        "J2735 in envelopes",
        reader("map.json"),
        json.dumps(
            {"metadata": {"a": 1}, "payload": {"data": {"messageId": 18, "value": {"MapData": rich_j2735()}}}}
        ).encode(),
        J2735_IGNORED,
        LANE_NAMES,
    ),
    Sample("YD/T 3709", reader("map.json"), json.dumps(rich_ydt()).encode(), YDT_IGNORED),
    Sample(
        "SUMO",
        reader("crossing.net.xml"),
        (DATA / "crossing.net.xml").read_bytes(),
        SUMO_IGNORED,
        {"lane/param@value": "of an id", "edge/param@value": "of an id"},
    ),
    Sample("OpenDRIVE", reader("crossing.xodr"), (DATA / "crossing.xodr").read_bytes(), OPENDRIVE_IGNORED),
    Sample(
        "Lanelet2",
        reader("crossing.osm"),
        (DATA / "crossing.osm").read_bytes(),
        LANELET2_IGNORED,
        {"osm/node@id": "an id: lines that miss it are reported"},
    ),
]
EACH = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@EACH
def test_a_file_of_the_format_is_imported(sample: Sample) -> None:
    assert len(sample.read(sample.data)) >= 1


@EACH
def test_an_unknown_attribute_and_element_on_each_element_is_reported(sample: Sample) -> None:
    assert silent_names(sample) == []


@EACH
def test_an_unknown_value_of_each_attribute_is_reported_refused_or_kept(sample: Sample) -> None:
    assert silent_values(sample) == []


@EACH
def test_every_reason_to_pass_something_over_is_a_sentence_of_its_own(sample: Sample) -> None:
    assert all(len(reason) > 10 for reason in sample.ignored.values())


XML = b"""<map version="1"><road id="7" kind="motorway"><lane use="car"/><lane use="boat"/><lane use="boat"/><edge/></road><tree/><tree/></map>"""  # noqa: E501


def lines(accounts: Accounts) -> list[str]:
    return [str(loss) for loss in accounts.report()]


def test_what_nobody_read_is_reported_with_its_count_and_an_example() -> None:
    accounts = Accounts("a map", {"map@version": "of the file format"})
    for road in accounts.xml(XML).children("road"):
        for lane in road.children("lane"):
            lane.choice("use", {"car": 1}, 0)
    assert lines(accounts) == [
        'dropped: map/road@id: attribute id is not read (id="7" of road 7)',
        'dropped: map/road@kind: attribute kind is not read (kind="motorway" of road 7)',
        "dropped: map/tree: element tree is not read (2 times, first tree)",
        "dropped: road/edge: element edge is not read (edge in road 7)",
        'unknown: road/lane@use: "boat" is not known: left out (2 times, first lane in road 7)',
    ]


def test_what_is_left_out_is_reported_once_and_nothing_below_it() -> None:
    accounts = Accounts("a map", {"@version": "of the file format", "tree": "no part of a road"})
    for road in accounts.xml(XML).children("road"):
        road.leave_out("a road without a signal")
    assert lines(accounts) == ["dropped: map/road: a road without a signal (road 7)"]


def test_a_refusal_carries_the_report_until_then() -> None:
    def read() -> None:
        with Accounts("a map", {}) as accounts:
            root = accounts.xml(XML)
            for road in root.children("road"):
                road.leave_out("a road of no known kind")
            raise root.refuse("roads", "none", "a map has roads")

    with pytest.raises(CodeError) as refusal:
        read()
    assert [loss.detail for loss in refusal.value.losses] == [
        "a road of no known kind",
        "element tree is not read",
        "attribute version is not read",
    ]


def test_a_reason_must_be_given_for_what_is_passed_over() -> None:
    with pytest.raises(ValueError, match="give the reason"):
        Accounts("a map", {"tree": " "})
    with pytest.raises(ValueError, match="give the reason"):
        Accounts("a map", {}).xml(XML).ignore("version", "")
    with pytest.raises(TypeError, match="name the tags"):
        list(Accounts("a map", {}).xml(XML).children())


def test_streamed_elements_are_accounted_as_whole_files_are() -> None:
    def read(records: list[XmlRecord] | None) -> list[str]:
        accounts = Accounts("a map", {})
        if records is None:
            top = (
                record
                for record in accounts.stream(io.BytesIO(XML))
                if record.parent is not None and record.tag == "road"
            )
        else:
            top = iter(accounts.xml(XML).children("road"))
        for road in top:
            for lane in road.use().children("lane"):
                lane.choice("use", {"car": 1}, 0)
        return lines(accounts)

    assert read(None) == read([])


def test_numbers_flags_and_words_refuse_or_report_what_they_are_not() -> None:
    record = Accounts("a map", {}).xml(b'<lane a="1_0" b="inf" c="x" d="maybe" e="bus boat" f="2.5" g="yes"/>')
    for name in "abc":
        with pytest.raises(CodeError, match="must be a finite number"):
            record.number(name)
    with pytest.raises(CodeError, match="must be given"):
        record.number("h")
    assert (record.number("f"), record.number("h", 3.0), record.flag("g"), record.flag("d", True)) == (
        2.5,
        3.0,
        True,
        True,
    )
    assert record.words("e", ("bus",)) == ("bus",)
    assert lines(record.accounts) == [
        'unknown: lane@d: "maybe" is not known: taken as true (lane)',
        'unknown: lane@e: "boat" is not known: left out (lane)',
    ]


def message() -> JsonRecord:
    tree = {
        "lanes": {
            "Lane": [
                {"laneID": 1, "type": {"vehicle": "0001"}, "note": None},
                {"laneID": 2, "type": {"boat": {"deep": True}}},
            ]
        },
        "flags": {"bus": True, "taxi": False, "boat": True},
        "empty": {"list": [], "text": ""},
        "extra": [{"a": 1}],
    }
    return Accounts("a message", {}).json(tree)


def test_json_is_accounted_key_by_key() -> None:
    top = message()
    assert top.flags("flags", ("bus", "taxi")) == ("bus",)
    kinds = [lane.child("type").one()[0] for lane in top.rows("lanes", "Lane")]
    assert kinds == ["vehicle", "boat"]
    assert lines(top.accounts) == [
        'dropped: lanes/Lane@laneID: key laneID is not read (2 times, first laneID="1" of Lane 1)',
        "dropped: message/extra: key extra is not read (extra)",
        'dropped: message/flags@boat: key boat is not read (boat="True" of flags)',
        'dropped: type/boat@deep: key deep is not read (deep="True" of boat in Lane 2)',
    ]


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(CodeError, match='key "a" stands twice'):
        load_json(b'{"a": 1, "a": 2}', "a message")


def test_a_report_is_bounded_and_counts_what_it_drops() -> None:
    accounts = Accounts("a map", {})
    accounts.xml(b"<map>" + b"".join(b"<x%d/>" % k for k in range(2 * MAX_GROUPS)) + b"</map>")
    report = accounts.report()
    assert len(report) == MAX_GROUPS + 1
    assert sum(loss.count for loss in report) == 2 * MAX_GROUPS


def test_nesting_beyond_any_map_is_refused() -> None:
    with pytest.raises(CodeError, match="within each other"):
        Accounts("a map", {}).xml(b"<a>" * 3000 + b"</a>" * 3000)
    tree: dict[str, object] = {}
    for _ in range(500):
        tree = {"a": tree}
    with pytest.raises(CodeError, match="within each other"):
        Accounts("a map", {}).json(tree)
