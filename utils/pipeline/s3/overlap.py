"""Calls that overlap the caller's work, such as transfers from and to S3."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor


def map_ahead[Item, Result](
    function: Callable[[Item], Result], items: Iterable[Item], at_once: int, threads: int = 0
) -> Iterator[Result]:
    """Call the function for each item in threads; yield the results in the items' order.

    Args:
        items: taken as the results are, and at most `at_once` of them ahead.
        threads: how many calls run side by side; 0 for `at_once`.

    Raises:
        The first failed call's error, in its result's place. Then, as when the caller stops early,
        running calls are awaited and no other starts.
    """
    pool = ThreadPoolExecutor(threads or at_once)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
