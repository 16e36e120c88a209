"""The reference recording: what the node said to it once, it says again, byte for byte."""

from make_golden import FILE

from cloudctl.replay import replay


def test_the_reference_is_said_again() -> None:
    result = replay(FILE)
    assert result.fault is None
    assert result.recorded > 3
    assert result.difference is None, (
        f"{result.difference}\nWhere this is meant, make the reference anew (PYTHONPATH=. python tests/make_golden.py)"
        " and say why in the commit"
    )
