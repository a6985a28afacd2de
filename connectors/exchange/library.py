"""exchangelib, which only connections to Exchange on premises need: it is not installed with the rest. Import this first."""

from __future__ import annotations

from importlib.util import find_spec

from connectors.errors import NeedsAttention
from connectors.exchange.settings import SYSTEM

INSTALL = "Install what the file requirements-exchange.txt names where this application runs, then start it again."


def is_installed() -> bool:
    return find_spec("exchangelib") is not None


def require() -> None:
    """Raises NeedsAttention where the library is not installed."""
    if not is_installed():
        error = NeedsAttention("needs the library exchangelib, which is not installed here", system=SYSTEM, code="not_installed")
        error.remedy = INSTALL
        raise error
