"""The rules of tests/data/regulations.json, and what they say at a time."""

from datetime import datetime
from zoneinfo import ZoneInfo

from paths import DATA

from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.days import read_days
from cloudctl.codes.rules import Vehicle, rule_placements

CODE = codes.load(DATA / "regulations.json")
DAYS = read_days(DATA / "days_2026.json")
TABLE, AT = RuleTable(CODE, DAYS), rule_placements(CODE)
RULES = {rule.id: rule for rule in CODE.rules}
FREE = Vehicle("car", fuel="electric")  # bound by no plate and no exhaust


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * SECOND
