"""The forms of the played Salesforce's addresses, for the call log and the faults: ids, keys and versions replaced."""

from __future__ import annotations

import re

from connectors.sandbox.salesforce import ids
from connectors.sandbox.salesforce.list_views import COLUMNS
from connectors.sandbox.salesforce.schema import OBJECTS
from connectors.sandbox.salesforce.series import ONWARDS

DATA = "/services/data"
ROOT = f"{DATA}/{{v}}"
_VERSION = re.compile(r"v\d{1,3}\.\d")
_ORGANISATION_FORM = "/id/{organisation}/{user}"


def form_of(path: str) -> str:
    """Returns `/services/data/{v}/sobjects/Contact/{id}` and its like."""
    parts = [p for p in path.split("/") if p]
    if parts[:1] == ["id"] and len(parts) == 3:
        return _ORGANISATION_FORM
    if parts[:2] != ["services", "data"] or len(parts) < 3:
        return "/" + "/".join(parts)
    rest = parts[3:]
    version = "{v}" if _VERSION.fullmatch(parts[2]) or parts[2] == "{v}" else parts[2]
    return "/".join([DATA, version, *_rest(rest)])


def _rest(rest: list[str]) -> list[str]:
    if rest[:1] in (["query"], ["queryAll"]) and len(rest) == 2:
        return [rest[0], "{locator}"]
    if rest[:1] == ["jobs"] and len(rest) > 2:
        return [*rest[:2], "{id}", *(part.lower() for part in rest[3:])]
    if rest[:1] != ["sobjects"] or len(rest) < 3:
        return rest
    if rest[2] == "listviews":
        return [*rest[:3], *("{id}" for _ in rest[3:4]), *rest[4:]]
    if len(rest) == 3:
        return rest if rest[2] in ("describe", "updated", "deleted") else [*rest[:2], "{id}"]
    is_id = ids.read(rest[2]) is not None or rest[2] == "{id}"
    return [*rest[:2], "{id}", *rest[3:]] if is_id else [*rest[:3], "{key}", *rest[4:]]


def _known() -> frozenset[str]:
    forms = [DATA, ROOT, _ORGANISATION_FORM]
    forms += [f"/services/oauth2/{name}" for name in ("authorize", "token", "revoke", "userinfo")]
    rest = ["query", "queryAll", "query/{locator}", "queryAll/{locator}", "limits", "limits/recordCount", "sobjects", "composite"]
    rest += ["composite/batch", "composite/sobjects", f"sobjects/Event/{{id}}/{ONWARDS}"]
    for object_ in OBJECTS.values():
        own = f"sobjects/{object_.name}"
        rest += [own, *(f"{own}/{name}" for name in ("describe", "updated", "deleted", "{id}"))]
        rest += [f"{own}/{f.name}/{{key}}" for f in object_.fields.values() if f.is_key and f.name != "Id"]
        rest += [f"{own}/{{id}}/{f.relationship}" for f in object_.fields.values() if f.relationship]
        rest += [f"{own}/{{id}}/{f.name}" for f in object_.fields.values() if f.type == "base64"]
        rest += [f"composite/{own}", *(f"composite/{own}/{f.name}" for f in object_.fields.values() if f.is_key)]
        if object_.name in COLUMNS:
            rest += [f"{own}/listviews{end}" for end in ("", "/{id}", "/{id}/describe", "/{id}/results")]
    for kind, ends in (("ingest", ("batches", "successfulresults", "failedresults", "unprocessedrecords")), ("query", ("results",))):
        rest += [f"jobs/{kind}", f"jobs/{kind}/{{id}}", *(f"jobs/{kind}/{{id}}/{end}" for end in ends)]
    return frozenset([*forms, *(f"{ROOT}/{each}" for each in rest)])


KNOWN = _known()
