"""A code with regulations of many kinds, and what tests ask of its findings."""

from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from paths import DATA

from cloudctl import codes
from cloudctl.codes.model import IntersectionCode

SHANGHAI = ZoneInfo("Asia/Shanghai")
CODE = codes.load(DATA / "regulations.json")  # L32 and L37 are one strip of road
PLAIN = replace(CODE, rules=tuple(rule for rule in CODE.rules if rule.kind != "tidal_lane"))
WORKDAYS = (1, 2, 3, 4, 5)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * 10**9


def errors(code: IntersectionCode) -> list[str]:
    return [str(finding) for finding in codes.validate(code) if finding.severity == "error"]


def warnings(code: IntersectionCode) -> list[str]:
    return [str(finding) for finding in codes.validate(code) if finding.severity == "warning"]


def changed(name: str, **fields: object) -> IntersectionCode:
    return replace(CODE, rules=tuple(replace(rule, **fields) if rule.id == name else rule for rule in CODE.rules))
