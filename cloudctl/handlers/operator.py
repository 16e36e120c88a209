"""Inputs of the operator, from the node's own files, and of the nodes among themselves: a revision of a digital code,
another configuration, an intersection that is served from now on or no longer."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..codes import IntersectionCode, loads
from ..faults import Faults
from ..output import Answer
from ..ownership_messages import AddIntersection, DropIntersection
from ..schema import RawMessage
from ..settings import EngineConfig
from ..topics import OPERATOR, OPERATOR_KINDS

NODE_FAULT = "the node could not process it: a fault of the node. Report it with the recording"
Handler = Callable[[bytes, int], str]


class OperatorHandler:
    """Passes the operator's inputs on, and answers each with why it was refused, or that it was accepted."""

    def __init__(
        self,
        *,
        announce: Callable[[IntersectionCode, int], None],
        reconfigure: Callable[[EngineConfig], None],
        add: Callable[[AddIntersection, int], None],
        drop: Callable[[str], None],
        faults: Faults,
    ) -> None:
        """`announce(code, t)`, `reconfigure(config)`, `add(addition, t)` and `drop(intersection)` raise ValueError for
        what they refuse, and change nothing then."""
        self._announce = announce
        self._reconfigure = reconfigure
        self._add = add
        self._drop = drop
        self._faults = faults

        self._handlers: Mapping[str, Handler] = {
            "code": self._take_code,
            "config": self._take_config,
            "add": self._take_addition,
            "drop": self._take_drop,
        }

    def handle(self, t: int, inputs: Sequence[RawMessage]) -> list[Answer]:
        """Act at `t` ns on each input in turn; return an answer to each."""
        return [self._answer(t, raw) for raw in inputs]

    def _answer(self, t: int, raw: RawMessage) -> Answer:
        try:
            name = self._handlers[raw.kind](raw.body, t)
        except (ValueError, msgspec.MsgspecError) as error:
            return Answer(raw, name="", refusal=str(error))
        except Exception as error:
            self._faults.note("operator", raw.kind, error)
            return Answer(raw, name="", refusal=NODE_FAULT)

        return Answer(raw, name, refusal=None)

    # Each returns the intersection that the input is about, "" where it is about none.

    def _take_code(self, body: bytes, t: int) -> str:
        code = loads(body)
        self._announce(code, t)
        return code.id

    def _take_config(self, body: bytes, t: int) -> str:
        self._reconfigure(msgspec.json.decode(body, type=EngineConfig))
        return ""

    def _take_addition(self, body: bytes, t: int) -> str:
        addition = msgspec.json.decode(body, type=AddIntersection)
        self._add(addition, t)
        return addition.intersection

    def _take_drop(self, body: bytes, t: int) -> str:
        name = msgspec.json.decode(body, type=DropIntersection).intersection
        self._drop(name)
        return name


def split_operator_inputs(batch: Sequence[RawMessage]) -> tuple[list[RawMessage], Sequence[RawMessage]]:
    """Return the operator's inputs of a batch, and the messages of everyone else."""
    inputs = [raw for raw in batch if _from_operator(raw)]
    if not inputs:
        return [], batch
    return inputs, [raw for raw in batch if not _from_operator(raw)]


def _from_operator(raw: RawMessage) -> bool:
    # The sender is proven by the driver: the kind alone may come from anyone.
    return raw.kind in OPERATOR_KINDS and raw.sender == OPERATOR
