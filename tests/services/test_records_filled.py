"""An installation that was at work before the search index came: its migration fills index and tombstones from what is there."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection

from reconciliation.models import SearchKey, Tombstone
from reconciliation.services.records import search
from reconciliation.services.undo import undo, undoable
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
fill = import_module("reconciliation.migrations.0015_fill_records")


def run_migration():
    editor = SimpleNamespace(execute=lambda sql: connection.cursor().execute(sql))
    for step in (fill.fill_keys, fill.fill_account_names, fill.fill_tombstones):
        step(apps, editor)


def test_names_former_names_and_deletions_are_found_after_the_migration():
    box = make()
    renamed, gone = box.organisation("Northwind Pumps"), box.organisation("Gone Ltd")
    box.run()
    undone = box.organisation("Made by mistake")
    undo(box.sync_pass, list(undoable(box.run())), User.objects.create(username="olga"), wiring=box.wiring)
    box.world.outreach.create_record("accounts", {"name": "Twin"})
    twin = box.organisation("Twin")
    box.clock.forward(300)
    box.edit(renamed, name="Zephyr")
    box.world.workbooks.delete_record("organisations", gone)
    box.run()
    SearchKey.objects.all().delete()
    Tombstone.objects.all().delete()

    run_migration()

    def found(text):
        return [
            (f.ref.id, f.state, f.why) for f in search(box.sync_pass, text, wiring=box.wiring).found if f.ref.object_type == "organisation"
        ]

    assert found("northwind") == [(str(renamed), "linked", "formerly “Northwind Pumps”")]
    assert found("zephyr") == [(str(renamed), "linked", "")]
    assert found("twin") == [(str(twin), "duplicate", "")]
    assert found("gone") == [(str(gone), "deleted", "")]
    assert {(t.crm_id, t.why, t.deleted_by) for t in Tombstone.objects.all()} == {(str(gone), "crm", ""), (str(undone), "undo", "olga")}
