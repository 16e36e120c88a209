"""A message of any of these standards, in JSON, UPER or as a decoded tree -> the frame that a gateway sends."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from ..codes.findings import CodeError, refuse
from ..codes.formats.messages.tree import MALFORMED
from ..signals.spat_fields import Refusals, shown
from .cpm import read_cpm
from .fields import Tree, tree_of
from .objects import PerceptionFrame, ReadMessage, frame_of
from .rsm import read_rsm
from .sdsm import SdsmAxes, read_sdsm
from .uper import FILES, PerceptionModules

Message = bytes | str | Mapping[str, Any]


class Standard(StrEnum):
    """Whose words a message is in."""

    CPM = "CPM"
    RSM = "RSM"
    SDSM = "SDSM"


def read_perception(
    standard: Standard,
    messages: Sequence[Message],
    received: int,
    modules: PerceptionModules | None = None,
    axes: SdsmAxes = SdsmAxes.NORTH_EAST,
) -> PerceptionFrame:
    """Return the one frame that some messages are parts of; what was refused of them is in `.refused`.

    `received` (ns) decides what a message leaves open of its time; `axes` is for SDSM only. Raises CodeError where a
    message is none of its standard, or none of its objects can be used.
    """
    refusals = Refusals(standard, text=True)  # converters from XML write numbers as text
    if not messages:
        raise refuse(standard, standard, "messages", "none", "there must be one at least", "give the message")

    read: list[ReadMessage] = []
    for message in messages:
        tree = _tree(standard, message, modules)
        try:
            if standard is Standard.CPM:
                read.append(read_cpm(tree, received, refusals))
            elif standard is Standard.RSM:
                read.append(read_rsm(tree, received, refusals))
            else:
                read.append(read_sdsm(tree, received, axes, refusals))
        except CodeError:
            raise
        except MALFORMED as error:
            rule = f"is not as the standard has it ({error!r:.80})"
            raise refuse(standard, standard, "fields", shown(tree), rule, "correct the sender") from None

    return frame_of(read, refusals, received)


def _tree(standard: Standard, message: Message, modules: PerceptionModules | None) -> Tree:
    if isinstance(message, Mapping):
        return dict(message)
    if isinstance(message, str) or message.lstrip()[:1] == b"{":
        return tree_of(message, standard)

    if modules is None:
        raise refuse(
            standard,
            standard,
            "bytes",
            f"{len(message)} bytes",
            "is no JSON, and UPER needs the standard's ASN.1 modules, which are not free to pass on",
            f"give modules=PerceptionModules([...]) of {FILES[standard]}, or send JSON",
        )

    return modules.read(standard, message)
