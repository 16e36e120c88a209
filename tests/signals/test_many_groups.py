"""A signal message of thousands of groups takes no more of the node than one of all that an intersection can have."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.ingest.signal_groups import MAX_GROUPS, read_groups
from cloudctl.schema import Group, SignalState

GROUPS = st.builds(Group, group=st.integers(1, MAX_GROUPS), state=st.sampled_from(SignalState))


@given(st.lists(GROUPS, min_size=1, max_size=5), st.integers(1, 5000))
def test_of_more_groups_than_have_numbers_the_first_are_read_and_the_sender_is_answered(
    some: list[Group], count: int
) -> None:
    groups = [some[k % len(some)] for k in range(count)]
    read = read_groups(msgspec.msgpack.encode(groups))

    assert read.groups == tuple(groups[:MAX_GROUPS])
    assert [rejection.field for rejection in read.refused] == ["g"] * (count > MAX_GROUPS)
    if count > MAX_GROUPS:
        assert f"{count} groups" in read.refused[0].value
