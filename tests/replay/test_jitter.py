from hypothesis import given
from hypothesis import strategies as st

from edgegen.replay.jitter import CELL_BITS, Jitter

TIMES = st.one_of(st.integers(0, 2_000), st.integers(0, 2**70))


@given(st.lists(TIMES, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_the_exact_one_or_a_little_above(times: list[int], share: float) -> None:
    jitter = Jitter()
    for time in times:
        jitter.add(time)
    exact = next(time for i, time in enumerate(sorted(times), start=1) if i >= share * len(times))
    found = jitter.quantile(share)
    assert exact <= found <= min(exact + (exact >> CELL_BITS), max(times))
    assert jitter.greatest == max(times)


def test_its_size_does_not_grow_with_what_it_counts() -> None:
    jitter = Jitter()
    for time in range(0, 10**9, 9_973):
        jitter.add(time)
    assert len(jitter._cells) <= 64 * 31


def test_without_times_all_is_zero() -> None:
    assert (Jitter().quantile(0.5), Jitter().greatest) == (0, 0)
