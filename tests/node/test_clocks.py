"""Clock offsets and advisory ids, with steps and restarts that nobody wrote by hand."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import Stage

from cloudctl import planner
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.ingest.gateways import MAX_ROUND_TRIP, MAX_SYNC_AGE, TIMESTAMPING, Gateway
from cloudctl.ingest.rejections import StaleMessage, check_time
from cloudctl.metrics import Metrics
from cloudctl.node.clock_steps import Timekeeper
from cloudctl.schema import RawMessage

T = 1_800_000_000 * SECOND
delays = st.integers(0, MAX_ROUND_TRIP // 2 - 1)


def exchange(gateway: Gateway, t: int, offset: int, there: int, back: int) -> bool:
    """Do one exchange at node time `t`: the gateway's clock is `offset` ahead, messages take `there` and `back` ns."""
    return gateway.exchanged(t - there + offset, t, t, t + back + offset)


@given(
    st.lists(st.tuples(delays, delays), min_size=1, max_size=20),
    st.integers(-(10**13), 10**13),
    st.integers(-(10**13), 10**13),
    st.tuples(delays, delays),
)
def test_after_a_step_of_any_size_one_exchange_is_enough(
    before: list[tuple[int, int]], offset: int, step: int, after: tuple[int, int]
) -> None:
    gateway = Gateway({})
    for k, (there, back) in enumerate(before):
        assert exchange(gateway, T + k * 5 * SECOND, offset, there, back)
    t = T + len(before) * 5 * SECOND
    assert exchange(gateway, t, offset + step, *after)
    # what may be left of the error is what round trips cannot tell: the offset lies within half of each of them
    allowed = sum(after) + max(sum(delay) for delay in before) + 2 * TIMESTAMPING + MAX_SYNC_AGE // 1000
    assert abs(gateway.offset - (offset + step)) <= allowed


@given(st.lists(st.tuples(delays, delays), min_size=2, max_size=30), st.integers(-(10**13), 10**13))
def test_delays_alone_are_never_taken_for_a_step_and_the_fastest_exchange_decides(
    exchanges: list[tuple[int, int]], offset: int
) -> None:
    gateway = Gateway({})
    for k, (there, back) in enumerate(exchanges):
        exchange(gateway, T + k * 5 * SECOND, offset, there, back)
    assert gateway.steps == 0
    assert abs(gateway.offset - offset) <= min(sum(delay) for delay in exchanges[-8:]) // 2 + 1


class Stepped:
    """A clock that has stepped, and counts how often it was told to follow."""

    def __init__(self, stepped: int) -> None:
        self.stepped, self.followed = stepped, 0

    def now(self) -> int:
        return T

    def follow(self) -> int:
        self.followed, self.stepped = self.followed + 1, 0
        return 0


@given(
    st.sampled_from([3600 * SECOND, -3600 * SECOND, 5 * SECOND, -5 * SECOND]),
    st.lists(st.tuples(st.sampled_from(["node", "machine", "neither"]), st.integers(-SECOND, SECOND)), max_size=12),
)
def test_the_node_follows_a_step_unless_most_of_those_it_serves_disagree(
    step: int, senders: list[tuple[str, int]]
) -> None:
    clock = Stepped(step)
    keeper = Timekeeper(clock, Metrics())  # type: ignore[arg-type]
    assert keeper.decide(T) is None
    batch = [
        RawMessage(
            "state",
            f"v{k}",
            msgspec.json.encode({"t": T + jitter + {"node": 0, "machine": step, "neither": 10 * step}[agrees]}),
        )
        for k, (agrees, jitter) in enumerate(senders)
    ]
    keeper.observe(
        T, [*batch, RawMessage("state", "x", b"{"), RawMessage("perception", "y", b"\xff"), RawMessage("?", "z", b"")]
    )
    moved = keeper.decide(T + 3 * SECOND)
    kept = sum(agrees == "node" for agrees, _ in senders)
    follows = sum(agrees == "machine" for agrees, _ in senders)
    expected = not (kept and kept >= follows)
    assert (moved is not None, clock.followed) == (expected, int(expected))
    assert (keeper.trouble is None) == expected


@given(
    st.one_of(st.integers(-2 * SECOND, -260 * MS), st.integers(260 * MS, 2 * SECOND)),
    st.lists(st.lists(st.integers(0, 800 * MS), min_size=1, max_size=20), min_size=1, max_size=4),
    st.booleans(),
)
def test_a_step_shorter_than_messages_may_take_is_followed_only_where_senders_are_there(
    step: int, senders: list[list[int]], is_right: bool
) -> None:
    """Of each sender one message at least is hardly delayed."""
    clock = Stepped(step)
    keeper = Timekeeper(clock, Metrics())  # type: ignore[arg-type]
    assert keeper.decide(T) is None
    true = T + (step if is_right else 0)
    for number, waits in enumerate(senders):
        for wait in (*waits, 50 * MS):
            keeper.observe(T, [RawMessage("state", f"v{number}", msgspec.json.encode({"t": true - wait}))])
    assert (keeper.decide(T + 3 * SECOND) is not None) == is_right


@settings(max_examples=20)
@given(st.lists(st.integers(1, 2**62 // MS), min_size=2, max_size=5, unique=True))
def test_no_two_runs_give_an_id_twice_whatever_the_clock_did_between_them(code: CompiledCode, begun: list[int]) -> None:
    stage = Stage(code)
    stage.put(stage.ingress[0], 40.0, 14.0)
    snapshot = stage.world()
    ids: list[str] = []
    for ms in begun:
        advisory_filter = planner.AdvisoryFilter(0)
        advisory_filter.begin(ms * MS)
        for _ in range(3):
            ids += [advisory.id for advisory in advisory_filter.choose(snapshot, planner.plan(snapshot))]
    assert len(ids) >= 3 * len(begun)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("age", "words"), [(5 * SECOND, "is 5.000 s old"), (-2 * SECOND, "is 2.000 s in the future")])
def test_the_words_for_a_stale_message_are_made_when_they_are_read(age: int, words: str) -> None:
    with pytest.raises(StaleMessage) as refused:
        check_time(T, T - age, 0, SECOND)
    assert not {"rule", "remedy"} & vars(refused.value).keys()
    assert refused.value.rule.startswith(words)
    assert refused.value.remedy
    assert str(refused.value) == refused.value.rule
