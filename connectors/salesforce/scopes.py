"""The OAuth scopes we ask Salesforce for, and where people log in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope and what we do with it."""

    name: str
    purpose: str


SCOPES = (
    Scope("api", "to read and write records through the interface, with the rights of the user who connects"),
    Scope("refresh_token", "to go on working when that user has closed the browser"),
)
ALL = " ".join(scope.name for scope in SCOPES)


def missing(granted: str) -> list[Scope]:
    """Returns the scopes that were not granted; `full` covers the interface, `offline_access` is the other name of a
    refresh token. An unknown grant lacks none."""
    words = set(granted.split())
    also = {"api": "full", "refresh_token": "offline_access"}
    return [scope for scope in SCOPES if words and not words & {scope.name, also[scope.name]}]
