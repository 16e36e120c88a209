"""Why a message is refused: the field, its value, the rule it breaks and the remedy, as its sender gets them."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..clock import MS, SECOND
from ..errors import CloudctlError
from ..schema import VERSION
from ..validation import UNDECODABLE, join, violation_of

T = TypeVar("T")
MAX_VALUE_LENGTH = 80  # characters of a refused value that are sent back
MAX_NETWORK_AGE = 10 * SECOND  # no network explains an older message: a clock is wrong
# Names and texts go to vehicles, logs and pages as they are: none may move a cursor or turn what stands beside it
NOT_PRINTABLE = "must not hold control characters, line breaks or marks of writing direction"
MAX_FUTURE = 100 * MS  # of an event ahead of the node's clock, after its gateway's offset is taken off


class RejectedMessage(CloudctlError):
    """A message broke a rule. Carries what its sender needs to know."""

    def __init__(self, field: str, value: object, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.field = field
        self.value = str(value)[:MAX_VALUE_LENGTH]
        self.rule = rule
        self.remedy = remedy


class StaleMessage(RejectedMessage):
    """A message is too old, or in the future. Its words are made when they are read: where a node cannot keep up, many
    messages are refused and few of the refusals are sent."""

    def __init__(self, t: int, age: int, max_age: int, offset: int) -> None:
        """All in ns: of the message, by a clock that is taken to be `offset` ahead."""
        CloudctlError.__init__(self, t, age)
        self.field = "t"
        self.value = str(t)
        self.age = age
        self._max_age = max_age
        self._offset = offset

    def __getattr__(self, name: str) -> str:
        """Make the words, when one of them is first read."""
        if name not in ("rule", "remedy"):
            raise AttributeError(name)
        self.rule, self.remedy = self._words()
        return self.rule if name == "rule" else self.remedy

    def __str__(self) -> str:
        return self.rule

    def _words(self) -> tuple[str, str]:
        cause = ""
        if abs(self.age) > MAX_NETWORK_AGE:
            cause = (
                f", by a clock taken to be {self._offset / SECOND:+.3f} s ahead of the node's: "
                "it is set wrong, or has stepped since it was compared"
            )

        if self.age > self._max_age:
            rule = f"is {self.age / SECOND:.3f} s old; at most {self._max_age / SECOND:.1f} s is accepted{cause}"
            return rule, "send at once, in ns of UTC since 1970, and answer sync so that the clock offset is known"

        rule = f"is {-self.age / SECOND:.3f} s in the future{cause}"
        return rule, "set the clock (NTP/PTP), use UTC ns since 1970, and answer sync"


def check_time(t_rx: int, t: int, offset: int, max_age: int) -> int:
    """Return the event time of `t`, by the node's clock. All in ns; `t` is by a clock `offset` ahead.

    Raises StaleMessage where it is older than `max_age` when it is received at `t_rx`, or in the future.
    """
    event = t - offset
    age = t_rx - event
    if -MAX_FUTURE <= age <= max_age:
        return event

    raise StaleMessage(t, age, max_age, offset)


def wrong_version(version: int) -> RejectedMessage:
    """Return the refusal of a message of another protocol version."""
    return RejectedMessage("v", version, f"this node speaks version {VERSION}", "use the client of that version")


def undecodable(error: Exception, prefix: str = "") -> RejectedMessage:
    """Return the refusal of a body that is not of its kind, naming the field below `prefix`, or the whole body."""
    violation = violation_of(error)
    return RejectedMessage(
        field=join(prefix, violation.field) or "body",
        value=violation.rule,
        rule="does not decode as this kind of message",
        remedy="see docs/wire.md for the fields and their types",
    )


def decode_each(
    decode: Callable[[bytes], T], field: str, parts: Iterable[bytes], refused: list[RejectedMessage], first: int = 0
) -> list[T]:
    """Return the parts of a message that decode; the refusal of each other part is added to `refused`. `first`: the
    place of the first part in the message."""
    decoded = []
    for index, part in enumerate(parts, first):
        try:
            decoded.append(decode(part))
        except UNDECODABLE as error:
            refused.append(undecodable(error, prefix=f"{field}[{index}]"))

    return decoded


def unprocessable() -> RejectedMessage:
    """Return the refusal of a message that the node itself failed on."""
    return RejectedMessage(
        field="body",
        value="",
        rule="the node could not process it: a fault of the node",
        remedy="report it to the node's operator, who has it in the recording",
    )
