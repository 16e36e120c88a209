"""Inputs of the operator, from the node's own files: a revision of a digital code, another configuration."""

from collections.abc import Callable, Sequence

import msgspec

from ..codes import IntersectionCode, loads
from ..faults import Faults
from ..output import Answer
from ..schema import RawMessage
from ..settings import EngineConfig
from ..topics import OPERATOR, OPERATOR_KINDS

NODE_FAULT = "the node could not process it: a fault of the node. Report it with the recording"


class OperatorHandler:
    """Passes the operator's inputs on, and answers each with why it was refused, or that it was accepted."""

    def __init__(
        self,
        *,
        announce: Callable[[IntersectionCode, int], None],
        reconfigure: Callable[[EngineConfig], None],
        faults: Faults,
    ) -> None:
        """`announce(code, t)` and `reconfigure(config)` raise ValueError for what they refuse, and change nothing
        then."""
        self._announce = announce
        self._reconfigure = reconfigure
        self._faults = faults

    def handle(self, t: int, inputs: Sequence[RawMessage]) -> list[Answer]:
        """Act at `t` ns on each input in turn; return an answer to each."""
        return [self._answer(t, raw) for raw in inputs]

    def _answer(self, t: int, raw: RawMessage) -> Answer:
        name = ""
        try:
            if raw.kind == "code":
                code = loads(raw.body)
                self._announce(code, t)
                name = code.id
            else:
                self._reconfigure(msgspec.json.decode(raw.body, type=EngineConfig))
        except (ValueError, msgspec.MsgspecError) as error:
            return Answer(raw, name="", refusal=str(error))
        except Exception as error:
            self._faults.note("operator", raw.kind, error)
            return Answer(raw, name="", refusal=NODE_FAULT)
        return Answer(raw, name, refusal=None)


def split_operator_inputs(batch: Sequence[RawMessage]) -> tuple[list[RawMessage], Sequence[RawMessage]]:
    """Return the operator's inputs of a batch, and the messages of everyone else."""
    inputs = [raw for raw in batch if _from_operator(raw)]
    if not inputs:
        return [], batch
    return inputs, [raw for raw in batch if not _from_operator(raw)]


def _from_operator(raw: RawMessage) -> bool:
    # The sender is proven by the driver: the kind alone may come from anyone.
    return raw.kind in OPERATOR_KINDS and raw.sender == OPERATOR
