"""What the switches of the played systems may be set to, and how they are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

Is = Callable[[Any], bool]
Check = tuple[Is, str]  # and what people read of it
Switches = TypeVar("Switches")


def changed(present: Switches, given: Mapping[str, Any], checks: Mapping[str, Check]) -> Switches:
    """Returns the switches with those that are named set anew. Raises ValueError with a sentence for a value that is none."""
    for name, value in given.items():
        check, says = checks[name]
        if not check(value):
            raise ValueError(f"{name} must be {says}")
    return replace(present, **given)  # type: ignore[type-var]  # a dataclass each


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def whole(low: int, high: int) -> Is:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def or_null(check: Is) -> Is:
    return lambda value: value is None or check(value)


def one_of(*allowed: Any) -> Is:
    return lambda value: not isinstance(value, bool) and value in allowed


BOOL: Check = (is_bool, "true or false")
