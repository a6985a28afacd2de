"""What the simulations of mailboxes and of calendars share: which histories are played, and how one of them is played again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from reconciliation.engine.wiring import Switches

SYSTEMS = ("microsoft", "google")
CHUNK = 25
MOST_SEEDS = 40  # that are looked through for one that notices a defect


@dataclass(frozen=True)
class Suite:
    """The histories of a folder. `at_each_change`: how many of each mail system are played when nothing else is asked for."""

    folder: str
    play: Callable[..., Any]
    tell: Callable[[int, str], str]
    defects: Mapping[str, Callable[[pytest.MonkeyPatch], None]]
    switches: Sequence[str]
    at_each_change: int

    @property
    def systems(self) -> Sequence[str]:
        return [os.environ["SYSTEM"]] if "SYSTEM" in os.environ else SYSTEMS

    @property
    def _seeds(self) -> range:
        histories = 50_000 if os.environ.get("NIGHTLY") else 1_000 if os.environ.get("ACCEPT") else self.at_each_change
        first, _, last = os.environ.get("SEEDS", f"0-{histories}").partition("-")
        return range(int(first), int(last))

    @property
    def firsts(self) -> Sequence[int]:
        """The first seed of every chunk."""
        return self._seeds[::CHUNK]

    @property
    def every_defect(self) -> list[str]:
        return [*self.defects, *self.switches]

    def broken(self, first: int, system: str) -> dict[int, Any]:
        """Plays a chunk, and returns what its histories broke, by seed."""
        seeds = range(first, min(first + CHUNK, self._seeds.stop))
        return {seed: found for seed in seeds if (found := self.play(seed, system).broken)}

    def again(self, broken: Mapping[int, Any], system: str) -> str:
        """Returns how to play one of these again, and what they broke."""
        where = f"tests/simulation/{self.folder}"
        return f"reproduce with SEED={min(broken)} SYSTEM={system} pytest {where} -k one_seed -s\n{broken}"

    def noticed(self, defect: str, monkeypatch: pytest.MonkeyPatch) -> int | None:
        """Returns the first seed whose history breaks something because of a defect, None where none does."""
        switches = Switches(**{defect: True}) if defect in self.switches else None
        self._put_in(defect, monkeypatch)
        return next((s for s in range(MOST_SEEDS) for system in SYSTEMS if self.play(s, system, switches).broken), None)

    def one_again(self, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
        """Plays the one history that the environment names, and returns its story and the defect that was put in."""
        defect = os.environ.get("DEFECT", "")
        self._put_in(defect, monkeypatch)
        return self.tell(int(os.environ.get("SEED", "0")), os.environ.get("SYSTEM", "microsoft")), defect

    def _put_in(self, defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if defect in self.defects:
            self.defects[defect](monkeypatch)
