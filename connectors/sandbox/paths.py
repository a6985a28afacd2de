"""The addresses that the played systems know, as the call log names them: a fault on any other could never strike."""

from __future__ import annotations

from collections.abc import Callable

from connectors.sandbox.exchange import addresses as exchange
from connectors.sandbox.google import addresses as google
from connectors.sandbox.microsoft import addresses as microsoft
from connectors.sandbox.outreach.schema import RESOURCES
from connectors.sandbox.salesforce import addresses
from connectors.sandbox.wire import template_of
from connectors.sandbox.workbooks.admin import QUEUES
from connectors.sandbox.workbooks.metadata import BY_PATH

_OUTREACH = ["", "/types", "/schema.json", "/schema/openapi.json", "/webhooks/cleanup"]
for _collection in RESOURCES:
    _OUTREACH += [f"/{_collection}", f"/{_collection}/{{id}}", f"/{_collection}/{{id}}/actions/{{action}}"]
LISTS = frozenset(f"/api/v2/{collection}" for collection in RESOURCES)
_CONTROLLERS = [*BY_PATH, *QUEUES, "metadata/types", "admin/custom_fields", "login"]
PATHS = {
    "workbooks": frozenset([*(f"/{c}.api" for c in _CONTROLLERS), "/login", "/logout", "/delay/{id}"]),
    "outreach": frozenset(["/oauth/token", "/oauth/authorize", *(f"/api/v2{p}" for p in _OUTREACH)]),
    "salesforce": addresses.KNOWN,
    "microsoft": microsoft.KNOWN,
    "google": google.KNOWN,
    "exchange": exchange.KNOWN,
}


def form_of(path: str) -> str:
    """Returns the form of a path: ids, tokens of delaying addresses and names of actions replaced."""
    parts = template_of(path).split("/")
    if parts[1:2] == ["delay"] and len(parts) == 3:
        parts[2] = "{id}"
    if len(parts) == 7 and parts[5] == "actions":
        parts[6] = "{action}"
    return "/".join(parts)


def is_known(system: str, path: str) -> bool:
    """Tells whether a system, or any for `*`, has a path of this form."""
    forms: dict[str, Callable[[str], str]] = {
        "salesforce": addresses.form_of,
        "microsoft": microsoft.form_of,
        "google": google.form_of,
        "exchange": exchange.form_of,
    }
    return any(forms.get(name, form_of)(path) in known for name, known in PATHS.items() if system in ("*", name))
