"""The forms of the played Graph's addresses, for the call log and the faults: tenants, ids and names replaced."""

from __future__ import annotations

from connectors.sandbox.microsoft.calls import segments

ROOT = "/v1.0"
COLLECTIONS = ("users", "contactFolders", "childFolders", "contacts", "mailFolders", "masterCategories")
WELL_KNOWN = ("contacts", "deleteditems")
_LOGIN = ("oauth2/v2.0/token", "oauth2/v2.0/authorize", "adminconsent", "v2.0/.well-known/openid-configuration")


def form_of(path: str) -> str:
    """Returns `/v1.0/users/{id}/contacts/{id}`, `/{tenant}/oauth2/v2.0/token` and their like. The folder that is always
    there keeps its name: `/v1.0/users/{id}/contactFolders/contacts`."""
    parts = [p for p in path.split("/") if p]
    if parts[:1] != ["v1.0"]:
        rest = "/".join(parts[1:])
        return f"/{{tenant}}/{rest}" if rest in _LOGIN else "/" + "/".join(parts)
    form: list[str] = []
    collection = ""  # whose key comes next
    for part in segments("/".join(parts[1:])):
        is_key = collection != "" and part != "delta"
        is_well_known = collection == "contactFolders" and part.lower() in WELL_KNOWN
        form.append(part.lower() if is_well_known else "{id}" if is_key else part)
        collection = part if not is_key and part in COLLECTIONS else ""
    return "/".join([ROOT, *form]) if form else ROOT


def _known() -> frozenset[str]:
    known = [f"/{{tenant}}/{rest}" for rest in _LOGIN]
    box = f"{ROOT}/users/{{id}}"
    contacts = ["contacts", "contacts/delta", "contacts/{id}", "contacts/{id}/permanentDelete"]
    rest = [*contacts, "contactFolders", "contactFolders/delta", "translateExchangeIds", "mailFolders/{id}"]
    for folder in ("contactFolders/{id}", *(f"contactFolders/{name}" for name in WELL_KNOWN)):
        rest += [folder, f"{folder}/childFolders", f"{folder}/permanentDelete", *(f"{folder}/{each}" for each in contacts)]
        child = f"{folder}/childFolders/{{id}}"
        rest += [child, *(f"{child}/{each}" for each in contacts)]
    rest += ["outlook/masterCategories", "outlook/masterCategories/{id}"]
    known += [f"{ROOT}/$batch", f"{ROOT}/users", box, f"{ROOT}/me", *(f"{box}/{each}" for each in rest)]
    return frozenset([*known, *(f"{ROOT}/me/{each}" for each in rest)])


KNOWN = _known()
