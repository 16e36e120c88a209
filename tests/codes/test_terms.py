"""Terms of the field: enumerations whose members are the plain words of the digital code."""

from enum import StrEnum

import msgspec
import pytest

from cloudctl.codes.findings import LossKind, Severity
from cloudctl.codes.model import CONFLICTS, CONTROLS, ROLES, TURNS, USES
from cloudctl.codes.terms import ConflictKind, Control, LaneUse, LinkRole, Turn


@pytest.mark.parametrize("kind", [ConflictKind, Control, LaneUse, LinkRole, LossKind, Severity, Turn])
def test_a_member_is_its_word_in_comparisons_tables_texts_and_json(kind: type[StrEnum]) -> None:
    for member in kind:
        word = member.value
        assert member == word
        assert {word: 1}[member] == 1
        assert f"{member}" == word
        assert msgspec.json.encode(member) == msgspec.json.encode(word)
        assert msgspec.to_builtins([member]) == [word]


def test_the_tables_of_the_model_hold_plain_text_in_the_order_of_the_compiled_arrays() -> None:
    assert ROLES == ("ingress", "upstream", "egress")
    assert USES == ("vehicle", "bike", "pedestrian", "bus", "tram")
    assert TURNS == ("straight", "left", "right", "u")
    assert CONFLICTS == ("cross", "merge", "diverge")
    assert CONTROLS == ("signal", "stop", "yield", "priority", "uncontrolled")
    assert all(type(word) is str for words in (ROLES, USES, TURNS, CONFLICTS, CONTROLS) for word in words)
