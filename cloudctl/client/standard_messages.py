"""What a gateway sends in the words of other standards: SPAT, and perception as CPM, RSM or SDSM.

What is wrong in a message loses only itself, is counted, and is reported once until it was right for 10 s.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..clock import SECOND
from ..schema import VERSION, Group, Reject

if TYPE_CHECKING:
    from ..codes.findings import Finding
    from ..perception.reading import Message, Standard
    from ..perception.uper import PerceptionModules

REFUSAL_ABSENT = 10 * SECOND  # a refusal that comes back after so long is reported anew
MAX_REFUSALS = 256  # that are remembered as reported


class StandardMessages:
    """The part of a gateway that reads messages of standards.

    Of perception, `refused_messages` counts those that could not be used at all and `refused_objects` the objects that
    were left out of the others, here, before anything was sent; the node's refusals are counted apart.
    """

    def __init__(self, on_reject: Callable[[Reject], None], now: Callable[[], int]) -> None:
        """`now` is the gateway's clock (ns)."""
        self.refused_messages = self.refused_objects = 0
        self._on_reject = on_reject
        self._now = now
        self._reported: dict[tuple[str, ...], int] = {}  # refusals -> when each last came

    @abstractmethod
    def perception(self, rsu: str, sensor: str, lat: float, lon: float, objects: Any, t: int | None = None) -> bool:
        """Send a frame of ours."""

    @abstractmethod
    def signal(
        self, rsu: str, intersection: str, revision: int, groups: Sequence[Group], t: int | None = None,
        lanes: Sequence[str] | None = None,
    ) -> bool:  # fmt: skip
        """Send signal states of ours."""

    def spat(self, rsu: str, places: Mapping[str, tuple[str, int]], message: bytes) -> int:
        """Send the states of a SPAT; return how many intersections were sent. UPER (framed or not, SPATEM) or JSON of
        J2735, or JSON of YD/T 3709.

        `places`: the message's "region/id" -> (city code, revision of the digital code) of the intersections that are
        meant. A revision of the
        message that is not the code's is passed on, and the node refuses it. What is wrong in the message loses only
        itself and is reported to `on_reject`,
        once until it was right for 10 s. Raises CodeError for what is no SPAT, and where none of its intersections is
        as it should be.
        """
        # UPER needs an extra; gateways that speak our form do not
        from ..signals.spat import as_signal, read_spat
        from ..signals.ydt_spat import read_ydt_spat

        read = read_ydt_spat if message.lstrip()[:1] == b"{" and b'"phaseStates"' in message else read_spat
        states = read(message, self._now())
        self._report("signal", states.refused, by_entity=True)
        sent = 0

        for intersection_state in states:
            if intersection_state.intersection in places:
                name, revision = places[intersection_state.intersection]
                sent_revision, groups = as_signal(intersection_state, revision)
                sent += self.signal(rsu, name, sent_revision, groups, intersection_state.t)

        return sent

    def cpm(self, rsu: str, sensor: str, *messages: "Message", modules: "PerceptionModules | None" = None) -> int:
        """Send the objects of a CPM (ETSI TS 103 324) as a frame of `sensor`; return how many objects were sent.

        A message is JSON with the standard's names, its decoded tree, or UPER with the user's ASN.1 `modules`. Several
        messages are the segments of one frame. What is wrong with an object loses only that object (or only the value
        that is not needed), is counted in `refused_objects` and reported to `on_reject`, the same once until it was
        right for 10 s. Raises CodeError for what is no CPM, and where none of its objects can be used; then nothing is
        sent, and `refused_messages` counts it.
        """
        from ..perception.reading import Standard

        return self._send_objects(Standard.CPM, rsu, sensor, messages, modules)

    def rsm(self, rsu: str, sensor: str, *messages: "Message", modules: "PerceptionModules | None" = None) -> int:
        """Send the participants of an RSM (YD/T 3709, T/CSAE 53); the rest is as with `cpm`. A message holds 16: give
        those of one frame together."""
        from ..perception.reading import Standard

        return self._send_objects(Standard.RSM, rsu, sensor, messages, modules)

    def sdsm(
        self,
        rsu: str,
        sensor: str,
        *messages: "Message",
        axes: str = "north-east",
        modules: "PerceptionModules | None" = None,
    ) -> int:
        """Send the objects of an SDSM (SAE J3224); the rest is as with `cpm`. `axes`: which way offsetX and offsetY of
        its sender point, "north-east" or "east-north". Raises ValueError for others."""
        from ..perception.reading import Standard

        return self._send_objects(Standard.SDSM, rsu, sensor=sensor, messages=messages, modules=modules, axes=axes)

    def _send_objects(
        self,
        standard: "Standard",
        rsu: str,
        sensor: str,
        messages: "Sequence[Message]",
        modules: "PerceptionModules | None",
        axes: str = "north-east",
    ) -> int:
        from ..codes.findings import CodeError
        from ..perception.reading import read_perception
        from ..perception.sdsm import SdsmAxes

        try:
            frame = read_perception(standard, messages, self._now(), modules, SdsmAxes(axes))
        except CodeError:
            self.refused_messages += 1
            raise

        self.refused_objects += frame.lost
        self._report("perception", frame.refused, by_entity=False)
        if frame.columns is None:
            return 0

        self.perception(rsu, sensor, frame.origin.lat, frame.origin.lon, frame.columns, frame.t)
        return len(frame.columns["x"])

    def _report(self, kind: str, refused: "Sequence[Finding]", *, by_entity: bool) -> None:
        """Pass on what is refused of a message and was not when it came last; `by_entity`: the same of another entity
        is something else."""
        now = self._now()
        for finding in refused:
            key = (kind, finding.entity if by_entity else finding.rule, finding.field)
            last = self._reported.pop(key, None)
            if last is None or abs(now - last) > REFUSAL_ABSENT:
                field_name = f"{finding.entity}: {finding.field}"
                self._on_reject(
                    Reject(
                        version=VERSION,
                        kind=kind,
                        seq=None,
                        field=field_name,
                        value=finding.value,
                        rule=finding.rule,
                        remedy=finding.remedy,
                    )
                )

            self._reported[key] = now

        while len(self._reported) > MAX_REFUSALS:
            del self._reported[next(iter(self._reported))]
