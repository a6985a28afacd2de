"""What an admin may do with a connection."""

from __future__ import annotations

from django.utils import timezone

from connectors.contract import Check
from connectors.errors import ConnectorError
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection

OBJECTS = {"workbooks": ("organisation", "person"), "outreach": ("account", "prospect")}


def connection_test(connection: Connection, *, wiring: Wiring | None = None) -> list[Check]:
    """Returns a line for everything the product needs of this connection, and keeps the schema it describes."""
    wiring = wiring or Wiring()
    try:
        connector = wiring.open_connector(connection)
    except ConnectorError as error:
        lines = [Check("Open the connection", False, f"{error.sentence}. {error.remedy}")]
    else:
        try:
            lines = connector.check()
            if all(line.is_ok for line in lines):
                lines.append(_keep_schema(connection, connector))
        finally:
            connector.close()
    failing = [line for line in lines if not line.is_ok]
    state = Connection.State.NEEDS_ATTENTION if failing else Connection.State.OK
    Connection.objects.filter(pk=connection.pk).update(
        state=state, last_error=failing[0].sentence if failing else "", last_error_at=timezone.now() if failing else None
    )
    return lines


def _keep_schema(connection: Connection, connector) -> Check:
    schemas = {}
    try:
        for object_type in OBJECTS[connection.system]:
            attributes = connector.schema(object_type).attributes
            schemas[object_type] = {
                a.name: {
                    "title": a.title,
                    "type": a.type,
                    "max_length": a.max_length,
                    "is_required": a.is_required,
                    "is_updatable": a.is_updatable,
                }
                for a in attributes.values()
            }
    except ConnectorError as error:
        return Check("Read the field lists", False, f"{error.sentence}. {error.remedy}")
    Connection.objects.filter(pk=connection.pk).update(schema_cache=schemas)
    count = sum(len(s) for s in schemas.values())
    return Check("Read the field lists", True, f"{count} fields known; mappings offer them by name.")
