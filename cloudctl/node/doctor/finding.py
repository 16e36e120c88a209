"""What `cloudctl doctor` finds: one row per check."""

from enum import StrEnum

from msgspec import Struct


class Status(StrEnum):
    """How a check ends."""

    OK = "ok"
    WARN = "warn"  # it works, not as well or not for long
    FAIL = "fail"  # a node cannot do its work


class Finding(Struct, frozen=True):
    """One check: what was looked at, what was found, what it must be and what to do."""

    name: str
    status: Status
    value: str
    rule: str
    remedy: str = ""  # "" where nothing is to be done


def finding(name: str, good: bool, value: str, rule: str, remedy: str, otherwise: Status = Status.FAIL) -> Finding:
    """Return a finding that is `otherwise` where it is not good."""
    return Finding(name, Status.OK if good else otherwise, value, rule, "" if good else remedy)
