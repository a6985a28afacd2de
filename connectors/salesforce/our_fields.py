"""Fields of ours on objects of Salesforce: each stands for several of its own, of events and of tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectors.contract import Fields, Record, Schema
from connectors.salesforce import events, tasks
from connectors.salesforce.events import STANDARD, Times


class OurFields:
    """The fields of ours of one organisation. `calendar_object` names an object of its own for what takes place, and its fields."""

    def __init__(self, calendar_object: Sequence[str] = ()) -> None:
        own = events.times_of(calendar_object)
        self._times: tuple[Times, ...] = (
            (STANDARD, own) if own is not None and own.object_type != STANDARD.object_type else (own or STANDARD,)
        )

    def real_columns(self, object_type: str, columns: Iterable[str]) -> list[str]:
        """Returns the columns of Salesforce's own that hold these."""
        names = list(columns)
        for times in self._times:
            names = events.real_columns(object_type, names, times)
        return tasks.real_columns(object_type, names)

    def with_ours(self, record: Record) -> Record:
        """Returns the record with our fields, as far as what they stand for was read."""
        for times in self._times:
            record = events.with_ours(record, times)
        return tasks.with_ours(record)

    def real_fields(self, object_type: str, fields: Fields) -> Fields:
        """Returns the fields of Salesforce's own that a write sends. Raises Rejected for a value that cannot be."""
        for times in self._times:
            fields = events.real_fields(object_type, fields, times)
        return tasks.real_fields(object_type, fields)

    def with_our_attributes(self, schema: Schema) -> Schema:
        """Returns the description of an object with our fields among it."""
        for times in self._times:
            schema = events.with_our_attributes(schema, times)
        return tasks.with_our_attributes(schema)
