"""Calls that do not wait for each other: a few threads, each of which leaves no database connection behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

from django.db import connection

from connectors.contract import Spread, one_by_one

Part = TypeVar("Part")
Result = TypeVar("Result")


def spread(width: int) -> Spread:
    """Returns a map over at most `width` threads; in the caller's thread when there is one part, or width is 0."""

    def over(call: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
        if width < 2 or len(parts) < 2:
            yield from one_by_one(call, parts)
            return
        contexts = [copy_context() for _ in parts]  # the log lines of a thread name the run, too
        with ThreadPoolExecutor(max_workers=width) as pool:
            yield from pool.map(lambda context, part: context.run(_alone, call, part), contexts, parts)

    return over


Start = Callable[[Callable[[Part], Result], Part], Future[Result]]


@contextmanager
def crew(width: int) -> Iterator[Start]:
    """Yields what starts a call in one of `width` threads, while the caller goes on. Calls that no thread has begun when
    the block ends by an error are dropped; those under way are waited for."""
    pool = ThreadPoolExecutor(max_workers=width)
    try:
        yield lambda call, part: pool.submit(copy_context().run, _alone, call, part)
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _alone(call: Callable[[Part], Result], part: Part) -> Result:
    try:
        return call(part)
    finally:
        connection.close()  # a lease may have been renewed or a token read here; the thread ends with its part
