"""Fields of ours on objects of Salesforce: each stands for several of its own, of events and of tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.contract import Fields, Record, Schema
from connectors.salesforce import events, tasks


def real_columns(object_type: str, columns: Iterable[str]) -> list[str]:
    """Returns the columns of Salesforce's own that hold these."""
    return tasks.real_columns(object_type, events.real_columns(object_type, columns))


def with_ours(record: Record) -> Record:
    """Returns the record with our fields, as far as what they stand for was read."""
    return tasks.with_ours(events.with_ours(record))


def real_fields(object_type: str, fields: Fields) -> Fields:
    """Returns the fields of Salesforce's own that a write sends. Raises Rejected for a value that cannot be."""
    return tasks.real_fields(object_type, events.real_fields(object_type, fields))


def with_our_attributes(schema: Schema) -> Schema:
    """Returns the description of an object with our fields among it."""
    return tasks.with_our_attributes(events.with_our_attributes(schema))
