"""Collects what open pages show, once a step of the engine. While no page is open it keeps only the newest refusals and
traffic reports.

Everything a page sees is encoded once and given to each page that watches it. Nothing here changes what the engine
does: it reads worlds that were
planned anyway, and asks an intersection to note what it withholds only while a page watches that intersection.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from ..clock import MS, SECOND
from ..engine import Engine, Output
from ..intersection import IntersectionState
from ..schema import Advisory, RawMessage, Reject
from ..traffic_messages import Traffic
from .columns import FrameKind, json_frame, snapshot
from .detail import Hops, detail_of
from .events import AdvisoryEvent, NoticeEvent, RejectEvent, advisory_event
from .latency import RecentLatency
from .scene import MAX_SCENES, scene_of
from .status import Withholding, status_of
from .viewers import MAX_WATCHED, Request, Viewer
from .zone import Zone

STATUS_INTERVAL = SECOND  # between two frames of sensors, traffic and gates
DETAIL_INTERVAL = 190 * MS  # between two frames of a selected track: every second plan
MAX_RECENT = 50  # refusals and notices that a page gets when it is opened
MAX_VIEWERS = 64  # open pages of one node

Mode = Literal["live", "recording"]


class ViewError(ValueError):
    """A page asked for something that cannot be had: which field, its value, the rule and the remedy."""

    def __init__(self, field: str, value: object, rule: str, remedy: str) -> None:
        super().__init__(f"{field} = {value}: {rule}. {remedy}")
        self.row = {"field": field, "value": str(value)[:80], "rule": rule, "remedy": remedy}


class Observer:
    """What open pages are shown of an engine. `observe` after every step; `viewers` are the open pages."""

    def __init__(self, engine: Engine, mode: Mode = "live", about: dict[str, Any] | None = None) -> None:
        """`about`: what else the pages are to know of the source, for their headline."""
        self.viewers: list[Viewer] = []
        self.encoded = 0  # snapshots; a test holds that none is made while nobody looks
        self._mode, self._about = mode, about or {}
        self._recent: deque[bytes] = deque(maxlen=MAX_RECENT)
        self._traffic: dict[str, Traffic] = {}
        self._scenes: dict[tuple[int, int], bytes] = {}  # by intersection and revision
        self._withholding: dict[int, Withholding] = {}
        self._hops: dict[str, Hops] = {}  # of vehicles that a page has selected
        self._watchers: dict[int, list[Viewer]] = {}
        self._due: dict[int, int] = {}  # when the next status of an intersection is
        self._encode = msgspec.json.Encoder().encode
        self.bind(engine)
        self._hello = self._make_hello()

    def bind(self, engine: Engine) -> None:
        """Show another engine of the same intersections: a recording's after a jump."""
        self._engine = engine
        self._places: list[IntersectionState] = list(engine.intersections.values())
        self.names = [place.code.code.id for place in self._places]
        self.index = {name: k for k, name in enumerate(self.names)}
        self._zone = Zone(self._places)
        self._latency = RecentLatency(engine.metrics)
        self._node_due = 0
        self._traffic.clear()
        self._due.clear()
        self._watch_again()

    # --- pages that open, ask and close ---

    def open(self, wake: Callable[[], None]) -> Viewer:
        """Return a new page's viewer, with what it begins with. Raises ViewError where there are MAX_VIEWERS
        already.
        """
        if len(self.viewers) >= MAX_VIEWERS:
            raise ViewError(
                "viewers",
                len(self.viewers) + 1,
                f"at most {MAX_VIEWERS} pages can be open at a time",
                "close one that nobody looks at",
            )
        viewer = Viewer(wake)
        self.viewers.append(viewer)
        viewer.put((FrameKind.HELLO, 0), self._hello)
        for row in self._recent:
            viewer.add_event(row)
        return viewer

    def close(self, viewer: Viewer) -> None:
        """Forget a page."""
        self.viewers.remove(viewer)
        self._watch_again()

    def ask(self, viewer: Viewer, request: Request) -> None:
        """Take in what a page wants to see. Raises ViewError, and changes nothing then."""
        wanted = viewer.watched if request.watch is None else tuple(dict.fromkeys(request.watch))
        selected = viewer.selected if request.select is None else request.select
        if len(wanted) > MAX_WATCHED:
            raise ViewError(
                "watch",
                f"{len(wanted)} intersections",
                f"at most {MAX_WATCHED} are shown in full",
                "look closer, so that fewer are in view",
            )
        for field, index in (*(("watch", index) for index in wanted), *([("select", selected[0])] if selected else [])):
            if not 0 <= index < len(self._places):
                raise ViewError(
                    field,
                    index,
                    f"intersections are numbered 0 .. {len(self._places) - 1}",
                    "use the numbers of the hello",
                )
        viewer.watched = wanted
        viewer.selected = None if selected is None or selected[1] < 0 else selected
        if request.select is not None:
            viewer.vehicle, viewer.detailed = None, 0
            self._keep_hops()
        viewer.zone = viewer.zone if request.zone is None else request.zone
        self._watch_again()
        if request.watch is not None:
            for index in wanted:
                self._show(viewer, index)
        if request.select is not None and viewer.selected is not None:
            self._show_selected(viewer)

    def watching(self, index: int) -> list[Viewer]:
        """Return the pages that watch an intersection."""
        return self._watchers.get(index, [])

    def _begin_again(self) -> None:
        """Take in that the node serves other intersections now: pages get a new list, and ask again for what is in
        view.
        """
        for viewer in self.viewers:
            viewer.watched, viewer.selected = (), None
            viewer.clear()
        self._scenes.clear()
        self.bind(self._engine)
        self._hello = self._make_hello()
        for viewer in self.viewers:
            viewer.forget_scenes()
            viewer.put((FrameKind.HELLO, 0), self._hello)

    def refresh(self) -> None:
        """Show every page anew what it watches, as it is now: after a jump in a recording."""
        for viewer in self.viewers:
            for index in viewer.watched:
                self._show(viewer, index)
            self._show_selected(viewer)

    def _show(self, viewer: Viewer, index: int) -> None:
        """Send one page an intersection as it was planned last, its drawing first."""
        place = self._places[index]
        self._send_scene(viewer, index, place)
        if place.latest is not None:
            viewer.put((FrameKind.SNAPSHOT, index), snapshot(index, place.latest, place.signals))
            viewer.put((FrameKind.STATUS, index), self._status(place.latest.t, index, place))
        self._due[index] = 0

    def _show_selected(self, viewer: Viewer) -> None:
        """Show the selected track at once: where time stands still, no plan will."""
        if viewer.selected is not None:
            index = viewer.selected[0]
            place = self._places[index]
            if place.latest is not None:
                self._show_detail(place.latest.t, index, place, viewer)

    def _watch_again(self) -> None:
        """Note who watches which intersection, and which of them are to note what they withhold."""
        self._watchers = {}
        for viewer in self.viewers:
            for index in viewer.watched:
                self._watchers.setdefault(index, []).append(viewer)
        for index, place in enumerate(self._places):
            if (place.withheld is not None) != (index in self._watchers):
                place.withheld = [] if index in self._watchers else None
        self._withholding = {index: self._withholding.get(index) or Withholding() for index in self._watchers}

    def _make_hello(self) -> bytes:
        return json_frame(
            FrameKind.HELLO, {"mode": self._mode, "about": self._about, "intersections": self._zone.listing()}
        )

    def _send_scene(self, viewer: Viewer, index: int, place: IntersectionState) -> None:
        revision = place.code.code.revision
        if not viewer.needs_scene(index, revision):
            return
        scene = self._scenes.get((index, revision))
        if scene is None:
            if len(self._scenes) >= MAX_SCENES:
                self._scenes.clear()
            scene = self._scenes[index, revision] = json_frame(FrameKind.SCENE, scene_of(place.code, index))
        viewer.put((FrameKind.SCENE, index), scene)

    # --- what a step brings ---

    def observe(self, t: int, batch: Sequence[RawMessage], out: Output) -> None:
        """Take in one step at `t` ns: what it was given and what it returned."""
        if out.rejects or out.events or out.faults or out.errors or any(kind == "reject" for _, kind, _ in out.replies):
            self._note_notices(t, out)
        for report in out.traffic:
            self._traffic[report.intersection] = report
            index = self.index.get(report.intersection)
            if index is not None:
                self._zone.note_traffic(index, report)
        if not self.viewers:
            return

        if len(self._engine.intersections) != len(self._places) or any(
            place.code.code.id not in self.index for place in out.planned
        ):
            self._begin_again()
        if self._hops:
            for datum in batch:
                hops = self._hops.get(datum.sender)
                if hops is not None:
                    hops.received(t, datum)
        for advisory in out.advisories:
            self._note_advisory(t, advisory)
        for place in out.planned:
            index = self.index[place.code.code.id]
            watchers = self._watchers.get(index)
            if watchers:
                self._show_plan(t, index, place, watchers)
        self._show_zone(t)
        self._show_node(t)

    def _show_plan(self, t: int, index: int, place: IntersectionState, watchers: list[Viewer]) -> None:
        world = place.latest
        if world is None:
            return
        data = snapshot(index, world, place.signals)
        self.encoded += 1
        withholding = self._withholding[index]
        if place.withheld:
            withholding.note(t, place.withheld)
            place.withheld.clear()

        status = None
        if t >= self._due.get(index, 0):
            self._due[index] = t + STATUS_INTERVAL
            status = self._status(t, index, place)
        for viewer in watchers:
            self._send_scene(viewer, index, place)
            viewer.put((FrameKind.SNAPSHOT, index), data)
            if status is not None:
                viewer.put((FrameKind.STATUS, index), status)
            if viewer.selected is not None and viewer.selected[0] == index and t - viewer.detailed >= DETAIL_INTERVAL:
                viewer.detailed = t
                self._show_detail(t, index, place, viewer)

    def _status(self, t: int, index: int, place: IntersectionState) -> bytes:
        sources, traffic = self._engine.ingest.sources, self._traffic.get(place.code.code.id)
        withholding = self._withholding.get(index) or Withholding()
        return json_frame(FrameKind.STATUS, status_of(t, index, place, sources, traffic, withholding))

    def _show_detail(self, t: int, index: int, place: IntersectionState, viewer: Viewer) -> None:
        """Show one page the track that it has selected, as it was planned last."""
        world = place.latest
        if viewer.selected is None or world is None:
            return
        withholding = self._withholding.get(index) or Withholding()
        found = detail_of(t, index, place, world, viewer.selected[1], withholding, self._hops)
        viewer.vehicle = found.get("vehicle")
        self._keep_hops()
        viewer.put((FrameKind.DETAIL, 0), json_frame(FrameKind.DETAIL, found))

    def _keep_hops(self) -> None:
        """Measure the hops of the vehicles that pages have selected, and of no other."""
        wanted = dict.fromkeys(viewer.vehicle for viewer in self.viewers if viewer.vehicle)
        self._hops = {vehicle: self._hops.get(vehicle) or Hops() for vehicle in wanted}

    def _show_zone(self, t: int) -> None:
        viewers = [viewer for viewer in self.viewers if viewer.zone]
        if not viewers:
            return
        data = self._zone.look(t)
        if data is not None:
            for viewer in viewers:
                viewer.put((FrameKind.OVERVIEW, 0), data)

    def _show_node(self, t: int) -> None:
        if 0 <= self._node_due - t <= SECOND:
            return
        self._node_due = t + SECOND
        body = {"t": t / MS, "stages": self._latency.take(), "viewers": len(self.viewers)}
        for viewer in self.viewers:
            viewer.put((FrameKind.NODE, 0), json_frame(FrameKind.NODE, body | {"dropped": viewer.dropped}))

    # --- what happened ---

    def _note_advisory(self, t: int, advisory: Advisory) -> None:
        index = self.index.get(advisory.intersection, -1)
        self._zone.note_advisory(index)
        hops = self._hops.get(advisory.target.removeprefix("vehicle:"))
        if hops is not None:
            hops.advised(t, advisory)
        watchers = self._watchers.get(index)
        if watchers:
            self.announce(advisory_event(index, advisory), watchers)

    def _note_notices(self, t: int, out: Output) -> None:
        rejected = [*out.rejects, *((gateway, body) for gateway, _, body in out.replies if isinstance(body, Reject))]
        rows: list[RejectEvent | NoticeEvent] = [
            RejectEvent(t / MS, sender, body.kind, body.seq, body.field, body.value, body.rule, body.remedy)
            for sender, body in rejected
        ]
        rows += [NoticeEvent(t / MS, "signal", str(fault), fault.intersection) for fault in out.faults]
        rows += [NoticeEvent(t / MS, "notice", text) for text in out.events]
        rows += [
            NoticeEvent(t / MS, "fault", f"fault of the node in {fault.place} ({fault.source}): {fault.cause}")
            for fault in out.errors
        ]
        for row in rows:
            self.announce(row, self.viewers, keep=True)

    def announce(
        self, row: AdvisoryEvent | RejectEvent | NoticeEvent, viewers: Sequence[Viewer], keep: bool = False
    ) -> None:
        """Give some pages one event; `keep` it for those that open later."""
        data = self._encode(row)
        if keep:
            self._recent.append(data)
        for viewer in viewers:
            viewer.add_event(data)
