"""Limits on how often something is done for each of many names, in bounded memory. No clock: every call carries its
time (ns)."""

from collections import OrderedDict


class Repeats:
    """Lets one event of each name through in `interval` ns, and counts those held back; `size` names are remembered."""

    def __init__(self, interval: int, size: int) -> None:
        self._interval = interval
        self._size = size
        # by name, the longest ago first: when it was last let through, and the number held back since
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def again(self, name: str, t: int) -> int | None:
        """Return the number of events of `name` held back before this one of `t`; None where it is held back too."""
        last, held_back = self._last.get(name, (None, 0))
        if last is not None and 0 <= t - last < self._interval:
            self._last[name] = (last, held_back + 1)
            return None

        self._last[name] = (t, 0)
        self._last.move_to_end(name)
        if len(self._last) > self._size:
            self._last.popitem(last=False)

        return held_back


class OncePer:
    """Allows one event of each name in `interval` ns; the `size` newest names are remembered."""

    def __init__(self, interval: int, size: int) -> None:
        self._interval = interval
        self._size = size
        self._last: OrderedDict[str, int] = OrderedDict()  # by name: when it was last allowed, the longest ago first

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
            return False  # too many names within one interval: the first ones are served, and memory stays bounded

        self._last[name] = t
        self._last.move_to_end(name)
        return True
