"""The only translation between rows and core values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.contract import Exchange, Fields, Value
from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.mapping import Direction, FieldRule, Survivorship
from reconciliation.core.mapping import Mapping as CoreMapping
from reconciliation.defaults.organisations import ORGANISATION_COLUMNS, PEER_LENGTHS, PERSON_COLUMNS
from reconciliation.models import Binding, Connection, MappingTable, SyncPass
from reconciliation.models import FieldRule as RuleRow
from reconciliation.passes.organisations import Bound, Restore


def encode(value: Value) -> Any:
    """Returns the JSON form of a canonical value; `decode` gives it back unchanged."""
    if isinstance(value, datetime):
        return {"$at": value.isoformat()}
    if isinstance(value, date):
        return {"$on": value.isoformat()}
    if isinstance(value, tuple):
        return list(value)
    return value


def decode(value: Any) -> Value:
    if isinstance(value, dict):
        if "$at" in value:
            return datetime.fromisoformat(value["$at"]).astimezone(UTC)
        return date.fromisoformat(value["$on"])
    return tuple(value) if isinstance(value, list) else value


def encode_fields(fields: Fields) -> dict[str, Any]:
    return {name: encode(value) for name, value in fields.items()}


def decode_fields(fields: Mapping[str, Any]) -> dict[str, Value]:
    return {name: decode(value) if isinstance(value, (dict, list)) else value for name, value in fields.items()}


def pick(fields: Fields, names: Iterable[str]) -> dict[str, Any]:
    """Returns the JSON form of these fields, blank where the record has none."""
    return {name: encode(fields.get(name)) for name in names}


def _in_crm(crm: Connection | None, table: MappingTable, row: RuleRow) -> dict[str, Any]:
    """Returns what the CRM's schema says of the field, where the CRM is written to."""
    attribute = (crm.schema_cache or {}).get(table.crm_object, {}).get(row.crm_field, {}) if crm is not None else {}
    return {"max_length_in_crm": attribute.get("max_length") or 0, "is_required_in_crm": bool(attribute.get("is_required"))}


def mapping_of(
    table: MappingTable, peer: Connection, rows: Iterable[RuleRow] | None = None, *, crm: Connection | None = None
) -> CoreMapping:
    """Returns the enabled rules, with lengths and obligations from the schemas where they were read; `crm` is given where
    that side is written to, too. `rows` stand for a proposal that is not stored."""
    schema = (peer.schema_cache or {}).get(table.peer_object, {})
    rules = []
    for row in table.rules.all() if rows is None else rows:
        if not row.is_enabled or row.held_reason:
            continue
        attribute = schema.get(row.peer_field, {})
        rules.append(
            FieldRule(
                id=row.pk or 0,
                crm=row.crm_field,
                peer=row.peer_field,
                direction=Direction(row.direction),
                transform=row.transform,
                survivorship=Survivorship(row.survivorship),
                blank_to_peer=row.blank_to_peer,
                blank_to_crm=row.blank_to_crm,
                max_length=attribute.get("max_length") or PEER_LENGTHS.get(row.peer_field, 0),
                is_required=bool(attribute.get("is_required")) or row.peer_field == "name",
                since_version=row.since_version,
                value_map=tuple((str(crm_value), str(peer_value)) for crm_value, peer_value in row.value_map),
                default_in_peer=row.default_in_peer,
                default_in_crm=row.default_in_crm,
                **_in_crm(crm, table, row),
            )
        )
    return CoreMapping(table.version, tuple(rules))


def organisation_columns(sync_pass: SyncPass) -> PluginColumns:
    """Returns the plugin's columns of organisations as this database names them."""
    return PluginColumns(**{**ORGANISATION_COLUMNS, **sync_pass.settings.get("organisation_columns", {})})


def person_columns(sync_pass: SyncPass) -> PluginColumns:
    return PluginColumns(**{**PERSON_COLUMNS, **sync_pass.settings.get("person_columns", {})})


def restore_of(sync_pass: SyncPass) -> Restore | None:
    """Returns what the pass must keep in mind of a restored backup, None when there is nothing."""
    if sync_pass.restored_at is None or sync_pass.restored_to is None:
        return None
    return Restore(sync_pass.restored_at, sync_pass.restored_to)


def bound_of(binding: Binding) -> Bound:
    return Bound(
        peer_id=binding.peer_id,
        crm_base=decode_fields(binding.crm_base),
        peer_base=decode_fields(binding.peer_base),
        crm_version=binding.crm_version,
        mapping_version=binding.mapping_version,
        is_tombstone=binding.is_tombstone,
        is_write_back_due=binding.is_write_back_due,
        synced_at=binding.synced_at,
        peer_version=binding.peer_version,
    )


def exchange_of(exchange: Exchange | None) -> dict[str, Any]:
    """Returns the JSON form of a redacted request and answer."""
    if exchange is None:
        return {}
    return {
        "method": exchange.method,
        "url": exchange.url,
        "request": exchange.request_body,
        "status": exchange.status,
        "response": exchange.response_body,
        "ms": exchange.milliseconds,
    }
