"""What is new, for the pages that are open: asked for once, however many look."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.concurrency import run_in_threadpool

from harness.definition import State, read_states
from harness.facts import Facts
from harness.progress import Snapshot
from harness.report import write
from harness.report.view import View
from harness.target import Target

TEMPLATES = write.environment(Path(__file__).resolve().parent, write.HERE)
# Of a timeline: to tell a long one more often would take too much of a core.
ROWS_PER_S = 6000
PARTS = ("status", "cards", "counts", "states")  # of an execution's page, by their ids

Source = Callable[[], Iterator[Any]]


class Feed:
    """Asks a source, which blocks until there is something new, while somebody follows it."""

    def __init__(self, source: Source) -> None:
        self.last: Any = None
        self.ended = False
        self.followers = 0
        self.changed = asyncio.Event()
        self.asking = asyncio.create_task(self.ask(source()))

    async def ask(self, source: Iterator[Any]) -> None:
        try:
            while (found := await run_in_threadpool(next, source, None)) is not None:
                self.last = found
                self.wake()
        except (BotoCoreError, ClientError):
            pass  # the browsers ask again, until the emulator or AWS answers
        finally:
            self.end()

    def end(self) -> None:
        self.ended = True
        self.wake()

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    async def follow(self) -> AsyncIterator[Any]:
        """The last news, each time; whoever is slow misses those between."""
        self.followers += 1
        shown = None
        try:
            while self.last is not shown or not self.ended:
                if self.last is shown:
                    await self.changed.wait()
                else:
                    shown = self.last
                    yield shown
        finally:
            self.followers -= 1
            if not self.followers:
                self.ended = self.ended or self.asking.cancel()


class Feeds(dict[str, Feed]):
    """By what they are of."""

    def follow(self, name: str, source: Source) -> AsyncIterator[Any]:
        feed = self.get(name)
        if feed is None or feed.ended:
            ended = [each for each in self if self[each].ended]
            for each in ended:
                del self[each]
            feed = self[name] = Feed(source)
        return feed.follow()

    def end(self) -> None:
        for feed in self.values():
            feed.end()


def view_of(target: Target, snapshot: Snapshot, language: str) -> View:
    """A running execution: nothing that only its log or its end tells."""
    return View(
        target,
        snapshot.run,
        language,
        Facts(snapshot.scatter),
        states_of(target, snapshot.run.arn),
        rows_per_s=snapshot.rows_per_s,
        bytes_per_s=snapshot.bytes_per_s,
    )


@lru_cache
def states_of(target: Target, arn: str) -> dict[str, State]:
    return read_states(target.client("stepfunctions"), arn)


@lru_cache(2)  # the last news, in each language
def news_of(target: Target, snapshot: Snapshot, language: str) -> dict[str, Any]:
    """What changes on the page of an execution."""
    view = view_of(target, snapshot, language)
    parts = TEMPLATES.get_template("parts.html.j2").make_module(write.names(view))
    return {
        "parts": {name: getattr(parts, name)() for name in PARTS},
        "outcome": view.outcome,
        "word": view.word(view.outcome),
        "ended": snapshot.run.status != "RUNNING",
        **view.data,
    }


async def changes(
    target: Target, followed: AsyncIterator[Snapshot], language: str
) -> AsyncIterator[dict[str, Any]]:
    """The news of an execution; of its timeline only the rows that are not as they were."""
    before: list[Any] = []
    async for snapshot in followed:
        news = await run_in_threadpool(news_of, target, snapshot, language)
        fresh = [(n, row) for n, row in enumerate(news["rows"]) if before[n : n + 1] != [row]]
        before = news["rows"]
        yield {**news, "rows": fresh, "count": len(before)}
        await asyncio.sleep(len(before) / ROWS_PER_S)
