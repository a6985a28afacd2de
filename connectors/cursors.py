"""Cursors as texts: what each keeps, in JSON, with the version of its form. The text comes back from a database that others may have
touched, so nothing in it is trusted: a text that is none of ours is no cursor, and the round begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints


class RoundOver(Exception):  # noqa: N818  # no failure: the round begins anew
    """What a cursor goes on from is known no more: only a round from the start tells what is there."""


@dataclass(frozen=True, slots=True)
class KeptCursor:
    """What every cursor of changes does alike. Its fields are texts, numbers, flags, tuples and mappings of them, or such classes
    again; one that was added later has a default, so that a cursor from before goes on where it was."""

    version: ClassVar[int] = 1

    def text(self) -> str:
        return self.written(asdict(self))

    def written(self, said: Mapping[str, Any]) -> str:
        return json.dumps({"v": self.version, **said}, separators=(",", ":"))


Kept = TypeVar("Kept", bound=KeptCursor)


def read_kept(kind: type[Kept], text: str, as_fields: Callable[[dict[str, Any]], Mapping[str, Any]] = dict) -> Kept | None:
    """Returns the cursor of this kind that a text holds, None for a text that is none of ours: one that tells a field that there is
    not, or a value of another type, or lacks one that has no default. `as_fields` says which fields what was written stands for,
    where that is not the fields themselves; whatever it stumbles over says the same."""
    try:
        said = json.loads(text)
        is_ours = said.pop("v") == kind.version
        return _made(kind, as_fields(said)) if is_ours else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _made(kind: type[Any], said: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    types = {each.name: hints[each.name] for each in fields(kind)}
    return kind(**{name: _value(types[name], raw) for name, raw in said.items()})


def _value(kind: Any, raw: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:  # of any length
        return tuple(_value(inner[0], each) for each in _of(list, raw))
    if origin is Mapping:
        return {_value(inner[0], key): _value(inner[1], each) for key, each in _of(dict, raw).items()}
    if is_dataclass(kind) and isinstance(kind, type):
        return raw if isinstance(raw, kind) else _made(kind, _of(dict, raw))
    return _of(kind, raw)


def _of(kind: type, raw: Any) -> Any:
    if type(raw) is not kind:  # a flag is no number
        raise TypeError(f"{type(raw).__name__} is no {kind}")
    return raw
