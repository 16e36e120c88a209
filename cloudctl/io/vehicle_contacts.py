"""When each vehicle was last in contact, and with it when what is still valid is sent to it again.

A vehicle is back when its hello comes, or a message after a silence: what was sent to it meanwhile may be lost.
"""

from dataclasses import dataclass

from ..clock import MS

MAX_VEHICLES = 100_000  # whose last message is remembered
MAX_SILENCE = 20_000 * MS  # after which a vehicle's last message is no longer remembered: it would count as back anyway
ABSENCE = 1500 * MS  # a vehicle that was silent for longer was away: states come at 1 Hz at least
RESEND_INTERVAL = 500 * MS  # between two repetitions to one vehicle, at least


@dataclass(slots=True)
class LastContact:
    """When a vehicle was last in contact, ns by `stopwatch`."""

    received: int  # its last message
    resent: int  # what was still valid was last sent to it again; ahead of now: will be


class VehicleContacts:
    """The vehicles that were in contact within MAX_SILENCE."""

    def __init__(self) -> None:
        self._vehicles: dict[str, LastContact] = {}  # the longest silent first

    def __len__(self) -> int:
        return len(self._vehicles)

    def __contains__(self, vehicle: str) -> bool:
        return vehicle in self._vehicles

    def note(self, vehicle: str, now: int, is_hello: bool) -> int | None:
        """Note a message of a vehicle at `now`, ns by `stopwatch`.

        Returns in how many ns what is still valid is to be sent to it again, None: not at all, for the vehicle was
        not away, or that is on its way.
        """
        contact = self._vehicles.pop(vehicle, None)
        if contact is None:
            contact = LastContact(received=now - ABSENCE - 1, resent=now - RESEND_INTERVAL - 1)

        is_back = is_hello or now - contact.received > ABSENCE
        delay: int | None = None
        if is_back and contact.resent <= now:
            # A second return waits, and is not left out: the first may have gone into a connection that was cut.
            delay = max(0, contact.resent + RESEND_INTERVAL - now)
            contact.resent = now + delay

        contact.received = now
        self._vehicles[vehicle] = contact
        self._forget_silent(now)
        return delay

    def _forget_silent(self, now: int) -> None:
        """Forget the vehicles that have been silent for long, at the latest when there are too many."""
        while True:
            longest_silent = next(iter(self._vehicles))
            silence = now - self._vehicles[longest_silent].received
            if silence <= MAX_SILENCE and len(self._vehicles) <= MAX_VEHICLES:
                return
            del self._vehicles[longest_silent]
