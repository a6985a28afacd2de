"""Keeps what a system says of its own fields: pages offer them, lint checks against them."""

from __future__ import annotations

from connectors.contract import Connector
from reconciliation.models import Connection

OBJECTS = {
    "workbooks": ("organisation", "person"),
    "outreach": ("account", "prospect"),
    "salesforce": ("Contact", "Lead", "Account"),
    "microsoft": ("contact",),
    "google": ("contact",),
    "exchange": ("contact",),
}


def schemas_read(connection: Connection, connector: Connector) -> int:
    """Reads the field lists and stores them with the connection. Returns how many fields there are. Raises ConnectorError."""
    schemas = {}
    for object_type in OBJECTS[connection.system]:
        schemas[object_type] = {
            a.name: {
                "title": a.title,
                "type": a.type,
                "max_length": a.max_length,
                "is_required": a.is_required,
                "is_updatable": a.is_updatable,
            }
            for a in connector.schema(object_type).attributes.values()
        }
    Connection.objects.filter(pk=connection.pk).update(schema_cache=schemas)
    connection.schema_cache = schemas
    return sum(len(s) for s in schemas.values())
