"""The forms of the played Google's addresses, for the call log and the faults: ids replaced."""

from __future__ import annotations

from connectors.sandbox.google import batch, calendar, gmail, tasks
from connectors.sandbox.google.oauth import AUTHORIZE, REVOKE, TOKEN
from connectors.sandbox.google.service import form_of as form_among

ROOT = "/v1"
_SIGN_IN = (AUTHORIZE, TOKEN, REVOKE)
KNOWN = frozenset(
    [
        *_SIGN_IN,
        *gmail.KNOWN,
        *batch.KNOWN,
        *calendar.KNOWN,
        *tasks.KNOWN,
        *(f"{ROOT}/people:{verb}" for verb in ("batchGet", "listDirectoryPeople", "createContact")),
        *(f"{ROOT}/people:batch{verb}Contacts" for verb in ("Create", "Update", "Delete")),
        *(f"{ROOT}/people/{end}" for end in ("me", "me/connections", "{id}", "{id}:updateContact", "{id}:deleteContact")),
        *(f"{ROOT}/contactGroups{end}" for end in ("", ":batchGet", "/{id}", "/{id}/members:modify")),
    ]
)


def form_of(path: str) -> str:
    """Returns `/v1/people/{id}:updateContact` and its like."""
    if path.startswith(f"{gmail.ROOT}/"):
        return gmail.form_of(path)
    if path.startswith((f"{calendar.ROOT}/", f"{tasks.ROOT}/")):
        return form_among(path, calendar.KNOWN | tasks.KNOWN)
    parts = path.strip("/").split("/")
    if parts[0] != "v1" or parts[1:2] not in (["people"], ["contactGroups"]) or len(parts) < 3:
        return "/" + "/".join(parts)
    id_, colon, verb = parts[2].partition(":")
    is_self = parts[1] == "people" and id_ == "me"
    return "/".join(["", *parts[:2], ("me" if is_self else "{id}") + colon + verb, *parts[3:]])
