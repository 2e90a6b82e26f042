"""Where the threads of a team wait for each other."""

from __future__ import annotations

import pytest

pytest.importorskip("hotloop.backends.compiled", reason="the compiled core is an optional part")
from hotloop.backends.compiled.waits import VERDICT, Touched, waits

# Bytes shared out by examples, and all of them.
OWN, ALL = (0, 64, 1), (0, 64, 0)
OTHER = (64, 128, 0)
ROWS = (0, 64, 4)


def waited(*steps: Touched, left_out: int = -1) -> list[bool]:
    return [wait for wait, _ in waits(steps, left_out)]


def test_threads_meet_only_themselves_in_their_own_examples() -> None:
    assert waited(Touched(writes=[OWN]), Touched(reads=[OWN])) == [False, False]
    assert waited(Touched(writes=[OWN]), Touched(writes=[OWN])) == [False, False]


def test_rows_cut_alike_are_met_by_one_thread_and_others_are_not() -> None:
    """Nor are the same bytes under another name, of which an example has more rows."""
    assert waited(Touched(writes=[ROWS]), Touched(reads=[ROWS], writes=[ROWS])) == [False, False]
    for other in (OWN, (0, 64, 8), (0, 32, 4), (16, 64, 4)):
        assert waited(Touched(writes=[ROWS]), Touched(reads=[other])) == [False, True]
        assert waited(Touched(writes=[other]), Touched(reads=[ROWS])) == [False, True]
        assert waited(Touched(reads=[ROWS]), Touched(writes=[other])) == [False, True]


@pytest.mark.parametrize("second", [Touched(reads=[ALL]), Touched(writes=[ALL])])
@pytest.mark.parametrize("written", [OWN, ROWS, ALL, (32, 96, 1), (63, 64, 0)])
def test_a_step_waits_for_what_others_wrote(second: Touched, written: tuple[int, int, int]) -> None:
    assert waited(Touched(writes=[written]), second) == [False, True]


def test_a_step_waits_before_it_writes_what_others_read() -> None:
    assert waited(Touched(reads=[ALL]), Touched(writes=[OWN])) == [False, True]


def test_reading_together_and_bytes_apart_need_no_wait() -> None:
    assert waited(Touched(reads=[ALL]), Touched(reads=[ALL])) == [False, False]
    assert waited(Touched(writes=[ALL]), Touched(reads=[OTHER], writes=[OTHER])) == [False, False]
    assert waited(Touched(writes=[ALL]), Touched(reads=[(64, 65, 0)])) == [False, False]


def test_what_was_waited_for_is_settled() -> None:
    write, read = Touched(writes=[ALL]), Touched(reads=[ALL])
    assert waited(write, read, read, Touched(writes=[OTHER])) == [False, True, False, False]
    assert waited(write, read, write, read) == [False, True, True, True]


def test_a_step_that_is_left_out_touches_nothing() -> None:
    assert waited(Touched(writes=[ALL]), Touched(reads=[ALL]), left_out=0) == [False, False]


def test_the_verdict_is_known_at_the_first_wait_behind_what_decides() -> None:
    loss = Touched(reads=[OTHER], writes=[VERDICT], decides=True)
    update = Touched(reads=[OTHER, VERDICT], writes=[ALL])
    found = waits([Touched(writes=[OTHER]), loss, update, Touched(writes=[OTHER])])
    assert found == [(False, False), (True, False), (True, True), (True, False)]


def test_what_decides_is_no_verdict_itself_and_waits_for_its_readers() -> None:
    loss = Touched(writes=[VERDICT], decides=True)
    later = Touched(reads=[VERDICT], writes=[ALL])
    assert waits([loss, loss, later]) == [(False, False), (True, False), (True, True)]
    # Another loss must not change it while threads still read it.
    assert waits([loss, later, loss]) == [(False, False), (True, True), (True, False)]
