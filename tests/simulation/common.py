"""What every simulation of a two-way pass needs: how its engine is wired to the played systems, and the texts of stored values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from connectors.sandbox.transport import SandboxAdapter
from reconciliation.engine.connections import open_connector
from reconciliation.engine.wiring import Switches, Wiring
from tests.sandboxed import Clock


def wired(clock: Clock, adapter: SandboxAdapter, jitter: Callable[[], float], switches: Switches) -> Wiring:
    """Returns a wiring whose calls go through the adapter, and whose waiting moves the clock."""

    def connect(row: Any, **options: Any) -> Any:
        clocks = {"db_now": clock, "clock": clock.seconds, "sleep": clock.forward}
        return open_connector(row, adapter=adapter, jitter=jitter, **clocks, **options)

    return Wiring(
        now=clock,
        monotonic=clock.seconds,
        db_now=clock,
        sleep=clock.forward,
        open_connector=connect,
        workers=0,
        switches=switches,
    )


def texts_in(data: Any) -> Iterator[str]:
    """Yields every text of a stored value, however deep it lies."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from texts_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from texts_in(value)
