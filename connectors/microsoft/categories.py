"""The categories that a Microsoft mailbox knows: their names are unique there, in any case of letters."""

from __future__ import annotations

from connectors.errors import Rejected
from connectors.microsoft.client import GraphClient

CATEGORIES_TEMPLATE = "/users/{user}/outlook/masterCategories"


def make_category(client: GraphClient, name: str, colour: str) -> None:
    """Makes a category unless it is there already. Raises ConnectorError."""
    if _has_category(client, name):
        return
    try:
        client.send("POST", client.root + "/outlook/masterCategories", {"displayName": name, "color": colour}, template=CATEGORIES_TEMPLATE)
    except Rejected:
        if not _has_category(client, name):  # somebody else may have made it meanwhile
            raise


def _has_category(client: GraphClient, name: str) -> bool:
    rows = client.every(client.root + "/outlook/masterCategories", template=CATEGORIES_TEMPLATE)
    return name.casefold() in {str(row.get("displayName")).casefold() for row in rows if isinstance(row, dict)}
