"""Where what a counter names stands: the intersection of a roadside unit, a sensor, a gateway."""

from collections.abc import Iterable, Mapping


class Places:
    """The intersections of one configuration. Two of the same configuration are equal."""

    def __init__(self, gateways: Mapping[str, Mapping[str, str]], intersections: Iterable[str]) -> None:
        """`gateways`: as in `EngineConfig`; `intersections`: those of the node."""
        self._gateways = gateways
        self._places = {name: name for name in intersections}

        for gateway, rsus in gateways.items():
            served = set(rsus.values())
            if len(served) == 1:
                self._places.setdefault(gateway, *served)
            for rsu, intersection in rsus.items():
                self._places[rsu] = intersection

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Places) and self._places == other._places

    __hash__ = None  # type: ignore[assignment]

    def intersection(self, source: str) -> str:
        """Return the intersection of a roadside unit, of a sensor ("unit/sensor"), of a gateway that serves a single
        one, or of an intersection's own name; "" where there is none.
        """
        found = self._places.get(source)
        return found if found is not None else self._places.get(source.partition("/")[0], "")
