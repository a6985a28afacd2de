"""The forms of the played Graph's addresses, for the call log and the faults: tenants, ids and names replaced."""

from __future__ import annotations

from connectors.sandbox.microsoft.calls import segments

ROOT = "/v1.0"
COLLECTIONS = ("users", "contactFolders", "childFolders", "contacts", "mailFolders", "masterCategories", "messages", "attachments",
               "lists", "tasks", "linkedResources", "subscriptions", "events", "calendars")  # fmt: skip
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


def _mail() -> list[str]:
    message = "messages/{id}"
    attachments = [f"{message}/attachments", f"{message}/attachments/{{id}}", f"{message}/attachments/{{id}}/$value"]
    acts = [f"{message}/{act}" for act in ("$value", "move", "copy", "send", "permanentDelete")]
    messages = ["messages", message, *acts, *attachments]
    folders = ["mailFolders/{id}", "mailFolders/{id}/childFolders/{id}"]
    within = ["childFolders", "move", "messages/delta", *messages]
    return [*messages, "mailFolders", *folders, *(f"{folder}/{each}" for folder in folders for each in within)]


def _tasks() -> list[str]:
    tasks = "todo/lists/{id}/tasks"
    linked = f"{tasks}/{{id}}/linkedResources"
    return ["todo/lists", "todo/lists/delta", "todo/lists/{id}", tasks, f"{tasks}/delta", f"{tasks}/{{id}}", linked, f"{linked}/{{id}}"]


def _events() -> list[str]:
    acts = ("instances", "cancel", "accept", "decline", "tentativelyAccept", "permanentDelete")
    own = ["events", "events/{id}", *(f"events/{{id}}/{act}" for act in acts), "calendarView", "calendarView/delta"]
    below = [place + each for place in ("calendar", "calendars/{id}") for each in ("", *(f"/{one}" for one in own))]
    return [*own, *below, "calendars"]


def _known() -> frozenset[str]:
    known = [f"/{{tenant}}/{rest}" for rest in _LOGIN]
    box = f"{ROOT}/users/{{id}}"
    contacts = ["contacts", "contacts/delta", "contacts/{id}", "contacts/{id}/permanentDelete"]
    rest = [*contacts, "contactFolders", "contactFolders/delta", "translateExchangeIds", "sendMail", *_mail(), *_tasks(), *_events()]
    for folder in ("contactFolders/{id}", *(f"contactFolders/{name}" for name in WELL_KNOWN)):
        rest += [folder, f"{folder}/childFolders", f"{folder}/permanentDelete", *(f"{folder}/{each}" for each in contacts)]
        child = f"{folder}/childFolders/{{id}}"
        rest += [child, *(f"{child}/{each}" for each in contacts)]
    rest += ["outlook/masterCategories", "outlook/masterCategories/{id}"]
    subscriptions = f"{ROOT}/subscriptions"
    known += [subscriptions, f"{subscriptions}/{{id}}", f"{subscriptions}/{{id}}/reauthorize"]
    known += [f"{ROOT}/$batch", f"{ROOT}/users", box, f"{ROOT}/me", *(f"{box}/{each}" for each in rest)]
    return frozenset([*known, *(f"{ROOT}/me/{each}" for each in rest)])


KNOWN = _known()
