"""Keeps what a system says of its own fields: pages offer them, lint checks against them."""

from __future__ import annotations

from typing import Any

from connectors.contract import Connector, Schema
from connectors.errors import ConnectorError
from reconciliation.models import Connection

OBJECTS = {
    "workbooks": ("organisation", "person"),
    "outreach": ("account", "prospect"),
    "salesforce": ("Contact", "Lead", "Account"),
    "microsoft": ("contact", "event", "task"),
    "google": ("contact", "event", "task"),
    "exchange": ("contact", "event", "task"),
}
# What only some passes want: where our user may not see it, the others go on without.
MORE = {"salesforce": ("Event", "Task")}


def schemas_read(connection: Connection, connector: Connector) -> int:
    """Reads the field lists and stores them with the connection. Returns how many fields there are. Raises ConnectorError."""
    schemas = {object_type: _told(connector.schema(object_type)) for object_type in OBJECTS[connection.system]}
    for object_type in MORE.get(connection.system, ()):
        try:
            schemas[object_type] = _told(connector.schema(object_type))
        except ConnectorError as error:
            if error.scope != "record":
                raise
    Connection.objects.filter(pk=connection.pk).update(schema_cache=schemas)
    connection.schema_cache = schemas
    return sum(len(s) for s in schemas.values())


def _told(schema: Schema) -> dict[str, dict[str, Any]]:
    return {
        a.name: {
            "title": a.title,
            "type": a.type,
            "max_length": a.max_length,
            "is_required": a.is_required,
            "is_updatable": a.is_updatable,
        }
        for a in schema.attributes.values()
    }
