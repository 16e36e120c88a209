"""Messages of connected vehicles: their state, requests for signal priority, acknowledgements."""

from collections.abc import Mapping

from .. import signal_priority
from ..acknowledgements import Acknowledgements
from ..fusion import VEHICLE_SOURCE
from ..ingest.batch import Batch, Vehicle
from ..ingest.messages import Ingest
from ..ingest.rejections import RejectedMessage
from ..intersection import IntersectionState
from ..metrics import Metrics
from ..scans import Scans
from ..scheduling import PlanScheduler
from ..schema import RawMessage, VehicleRequest, VehicleState
from ..topics import KIND_OF_BODY
from ..vehicles import VehicleRegistry


class VehicleHandler:
    """Updates intersections by the messages of connected vehicles. An exception is confined to the message it came
    from."""

    def __init__(
        self,
        *,
        intersections: Mapping[str, IntersectionState],
        vehicle_registry: VehicleRegistry,
        acknowledgements: Acknowledgements,
        ingest: Ingest,
        scheduler: PlanScheduler,
        metrics: Metrics,
    ) -> None:
        self._intersections = intersections
        self._vehicle_registry = vehicle_registry
        self._acknowledgements = acknowledgements
        self._ingest = ingest
        self._scheduler = scheduler
        self._metrics = metrics

    def handle(self, t: int, received: Batch, scans: Scans) -> None:
        """Act on the messages of vehicles received at `t` ns; `scans` gets their reported positions, after the frames
        of sensors."""
        for message in received.vehicles:
            try:
                self._handle_message(t, message, scans, received)
            except Exception as error:
                raw = RawMessage(KIND_OF_BODY[type(message.body)], message.id, b"")
                self._ingest.confine("report", t, raw, error, received)

    def _handle_message(self, t: int, message: Vehicle, scans: Scans, received: Batch) -> None:
        body = message.body
        if isinstance(body, VehicleState):
            self._handle_state(t, message.id, body, scans, received)
        elif isinstance(body, VehicleRequest):
            self._handle_request(t, message.id, body, received)
        else:
            self._acknowledgements.take(message.id, body)

    def _handle_state(self, t: int, vehicle: str, state: VehicleState, scans: Scans, received: Batch) -> None:
        rejection = self._vehicle_registry.unused(t, vehicle, state)
        if rejection is not None:
            received.rejects += self._ingest.reject(t, vehicle, "state", rejection, part=True)

        # Frames of intersections overlap: a vehicle between two is a detection in both.
        for intersection, detection in self._vehicle_registry.reported(vehicle, state):
            self._scheduler.schedule_plan(t, intersection)
            scans.report(intersection.fusion, state.t, VEHICLE_SOURCE, detection)

    def _handle_request(self, t: int, vehicle: str, body: VehicleRequest, received: Batch) -> None:
        intersection = self._intersections.get(body.intersection)
        if intersection is None:
            self._metrics.count("vehicle.request_elsewhere", body.action)
            if not self._vehicle_registry.shared:  # else another node may serve it, and answers
                # as a part: the message itself is counted as accepted by now
                received.rejects += self._ingest.reject(t, vehicle, "requests", _elsewhere(body), part=True)
            return

        self._metrics.count("vehicle.request", body.action)
        declared_kind = self._vehicle_registry.declared_kind(vehicle, intersection)
        signal_priority.request(t, intersection, vehicle, body, declared_kind)
        self._scheduler.schedule_plan(t, intersection)


def _elsewhere(body: VehicleRequest) -> RejectedMessage:
    return RejectedMessage(
        field="intersection",
        value=body.intersection,
        rule="is no intersection that this node serves",
        remedy="send the city code of the intersection, as in its digital code",
    )
