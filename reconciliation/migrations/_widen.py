"""Widening a column where the database knows how wide it is."""

from __future__ import annotations

from typing import Any

from django.db import migrations


class WidenField(migrations.AlterField):
    """An `AlterField` that only lets a text be longer. SQLite keeps no lengths, and would copy the whole table, with its
    indexes in another order, for nothing."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "sqlite":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self.database_forwards(app_label, schema_editor, from_state, to_state)
