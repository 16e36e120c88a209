"""How often something is done for each of many names, in bounded memory. No clock: every call carries its time (ns)."""

from collections import OrderedDict


class Repeats:
    """Of events that come again and again, lets each name through once in `interval` ns, and counts those held back;
    `size` names are remembered."""

    def __init__(self, interval: int, size: int) -> None:
        self._interval, self._size = interval, size
        self._last: OrderedDict[str, tuple[int, int]] = (
            OrderedDict()
        )  # when each was let through, the longest ago first, and how many were held back since

    def again(self, name: str, t: int) -> int | None:
        """Return how many events of `name` were held back before this one of `t`; None where this one is held back
        too."""
        last, held = self._last.get(name, (None, 0))
        if last is not None and 0 <= t - last < self._interval:
            self._last[name] = (last, held + 1)
            return None
        self._last[name] = (t, 0)
        self._last.move_to_end(name)
        if len(self._last) > self._size:
            self._last.popitem(last=False)
        return held


class OncePer:
    """Allows one event of each name in `interval` ns; the `size` newest names are remembered."""

    def __init__(self, interval: int, size: int) -> None:
        self._interval, self._size = interval, size
        self._last: OrderedDict[str, int] = OrderedDict()  # when each name was last allowed, the longest ago first

    def __len__(self) -> int:
        return len(self._last)

    def allow(self, name: str, t: int) -> bool:
        """Return whether `name` may have another event at `t`."""
        last = self._last.get(name)
        if last is not None and 0 <= t - last < self._interval:
            return False
        while self._last and not 0 <= t - next(iter(self._last.values())) < self._interval:
            self._last.popitem(last=False)
        if len(self._last) >= self._size and name not in self._last:
            return False  # so many at once: whoever comes first is served, and memory stays what it is
        self._last[name] = t
        self._last.move_to_end(name)
        return True
