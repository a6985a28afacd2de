"""Settings of one connection as a system's own dataclass, each with a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from connectors.errors import NeedsAttention


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Settings = TypeVar("Settings", bound=_Dataclass)


def settings_among(kind: type[Settings], given: Mapping[str, Any], system: str) -> Settings:
    """Returns the settings of this kind that are among a connection's own; others are somebody else's. Raises NeedsAttention
    for a value that cannot be."""
    try:
        return kind(**{f.name: _as(f.default, given[f.name]) for f in fields(kind) if given.get(f.name) is not None})
    except (TypeError, ValueError) as error:
        raise NeedsAttention(f"has a setting that cannot be used ({error})", system=system) from None


def _as(default: Any, value: Any) -> Any:
    """Returns the value as the type of its default."""
    if isinstance(default, tuple):
        return tuple(map(str, value))
    return value is True if isinstance(default, bool) else type(default)(value)
