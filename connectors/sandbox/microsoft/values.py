"""Values of messages and tasks as a body gives them. Each function returns what is stored, and raises Refused for another type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.microsoft.refusal import Refused, bad_request
from connectors.sandbox.microsoft.zones import read_zone, to_utc

_WALL = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")


def wrong(name: str, type_: str) -> Refused:
    return bad_request(f"Cannot convert the value of '{name}' to the expected type '{type_}'.")


def unknown(name: str, type_: str) -> Refused:
    told = "Make sure to only use property names that are defined by the type."
    return bad_request(f"The property '{name[:80]}' does not exist on type 'microsoft.graph.{type_}'. {told}")


def read_only(name: str) -> Refused:
    return bad_request(f"The property '{name}' is read-only and can't be set.", "ErrorInvalidPropertySet")


def text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise wrong(name, "Edm.String")
    return value


def boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(name, "Edm.Boolean")
    return value


def one_of(name: str, value: Any, allowed: Sequence[str], type_: str) -> str:
    """Returns the value of an enumeration, in the spelling of its type: it is read without regard to case."""
    found = next((each for each in allowed if isinstance(value, str) and each.casefold() == value.casefold()), None)
    if found is None:
        raise wrong(name, f"microsoft.graph.{type_}")
    return found


def texts(name: str, value: Any) -> list[str]:
    """Returns a collection of texts, each once."""
    if not all(isinstance(each, str) for each in collection(name, value)):
        raise wrong(name, "Collection(Edm.String)")
    return list(dict.fromkeys(value))


def collection(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(name, "Collection")
    return value


def parts(name: str, value: Any, known: Sequence[str], type_: str) -> dict[str, Any]:
    """Returns the parts of a value that has some, without annotations."""
    if not isinstance(value, dict):
        raise wrong(name, f"microsoft.graph.{type_}")
    given = {key: each for key, each in value.items() if "@odata." not in key}
    if strange := [key for key in given if key not in known]:
        raise unknown(strange[0], type_)
    return given


def item_body(name: str, value: Any, *, default: str) -> dict[str, str]:
    """Returns contentType and content of a text; `default` is the type of one that does not say."""
    given = {} if value is None else parts(name, value, ("contentType", "content"), "itemBody")
    kind = one_of(f"{name}/contentType", given.get("contentType") or default, ("text", "html"), "bodyType")
    return {"contentType": kind, "content": text(f"{name}/content", given.get("content")) or ""}


def recipient(name: str, value: Any) -> dict[str, Any] | None:
    """Returns `{"emailAddress": {"name", "address"}}`; one without a name is called by the address."""
    if value is None:
        return None
    email = parts(name, value, ("emailAddress",), "recipient").get("emailAddress")
    given = parts(f"{name}/emailAddress", email, ("name", "address"), "emailAddress")
    address = text(f"{name}/emailAddress/address", given.get("address"))
    return {"emailAddress": {"name": text(f"{name}/emailAddress/name", given.get("name")) or address, "address": address}}


def recipients(name: str, value: Any) -> list[dict[str, Any]]:
    return [found for each in collection(name, value) if (found := recipient(name, each)) is not None]


def wall_time(name: str, value: Any) -> tuple[datetime, str]:
    """Returns what a dateTimeTimeZone says: the time that clocks show, and the zone by IANA's name."""
    given = parts(name, value, ("dateTime", "timeZone"), "dateTimeTimeZone")
    when, zone = given.get("dateTime"), given.get("timeZone")
    if not isinstance(when, str) or not _WALL.fullmatch(when.removesuffix("Z")):
        raise wrong(f"{name}/dateTime", "Edm.String")
    try:
        wall = datetime.fromisoformat(when.removesuffix("Z")[:26])
    except ValueError:
        raise wrong(f"{name}/dateTime", "Edm.String") from None
    return wall, read_zone("UTC" if zone is None else text(f"{name}/timeZone", zone) or "")


def zoned(name: str, value: Any) -> dict[str, str] | None:
    """Returns a dateTimeTimeZone as it is stored, in UTC."""
    if value is None:
        return None
    wall, zone = wall_time(name, value)
    return in_utc(to_utc(wall, zone))


def in_utc(at: datetime) -> dict[str, str]:
    return {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}


def instant(name: str, value: Any) -> str:
    """Returns a timestamp as the store writes it; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(value)
        return f"{(at.astimezone(UTC) if at.tzinfo else at):%Y-%m-%dT%H:%M:%SZ}"
    except (TypeError, ValueError, OverflowError):
        raise wrong(name, "Edm.DateTimeOffset") from None


def comparable(value: Any) -> Any:
    """Returns a timestamp of a filter as texts of stored ones compare with it, anything else as it is."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return at.isoformat()


def without_annotations(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if "@odata." not in name}
