import threading
from collections.abc import Iterator

import pytest

from pipeline.s3.overlap import map_ahead


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(map_ahead(str, range(50), at_once=4, threads=3)) == [str(n) for n in range(50)]


def test_calls_run_side_by_side() -> None:
    """Each of two calls waits for the other."""
    meeting = threading.Barrier(2, timeout=60)
    results = map_ahead(lambda _: meeting.wait(), range(2), at_once=2, threads=2)
    assert sorted(results) == [0, 1]


def test_no_more_items_are_taken_than_may_be_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    for number, _ in enumerate(map_ahead(str, items(), at_once=4, threads=2)):
        assert len(taken) <= number + 4


def test_the_first_error_is_raised_in_its_place() -> None:
    results = map_ahead(lambda n: 1 // n, [1, 0, 1, 0], at_once=2, threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_call_starts_once_the_caller_has_stopped() -> None:
    started = []
    hold, running = threading.Event(), threading.Event()

    def call(number: int) -> None:
        started.append(number)
        if number == 1:
            running.set()
            hold.wait(60)

    results = map_ahead(call, range(9), at_once=4, threads=1)

    def let_go() -> None:
        running.wait(60)
        hold.set()

    threading.Thread(target=let_go).start()
    next(results)
    running.wait(60)
    count = threading.active_count()
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() <= count
    assert len(started) <= 4
