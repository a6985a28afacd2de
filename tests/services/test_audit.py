"""The audit log: every act of a person, sealed row by row, which the database itself refuses to change."""

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from reconciliation.core.spellings import without_addresses
from reconciliation.models import AuditEntry, Case
from reconciliation.services.audit import audit, audit_verify
from reconciliation.services.duplicates import Decision, duplicate_later
from reconciliation.services.mappings import mapping_save
from reconciliation.services.passes import pass_pause, pass_resume
from reconciliation.services.schedule import schedule_of, schedule_set
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def test_rows_are_sealed_one_after_the_other(olga):
    for n in range(3):
        audit(olga, "try", f"thing {n}", count=n)

    first, second, third = AuditEntry.objects.order_by("pk")
    assert (first.previous, second.previous, third.previous) == ("", first.digest, second.digest)
    assert audit_verify().rows == 3
    assert audit_verify().broken is None


@pytest.mark.parametrize("change", ["UPDATE reconciliation_auditentry SET subject = 'x'", "DELETE FROM reconciliation_auditentry"])
def test_the_database_refuses_to_change_the_log(olga, change):
    audit(olga, "try", "thing")
    if connection.vendor == "sqlite":
        as_migrated()

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_a_row_that_was_changed_behind_the_database_is_found(olga, monkeypatch):
    for n in range(3):
        audit(olga, "try", f"thing {n}")
    middle = AuditEntry.objects.order_by("pk")[1]
    seal = AuditEntry.seal
    monkeypatch.setattr(AuditEntry, "seal", lambda self: "another" if self.pk == middle.pk else seal(self))

    found = audit_verify()

    assert (found.rows, found.broken) == (1, middle)


def test_what_an_admin_changes_says_who_and_what(olga):
    box = make()

    schedule_set(box.sync_pass, schedule_of(box.sync_pass).__class__(**{**vars_of(box), "interval_seconds": 300}), olga)
    pass_pause(box.sync_pass, olga)
    pass_pause(box.sync_pass, olga)
    pass_resume(box.sync_pass, olga)
    mapping_save(box.sync_pass, {}, None, "leave", olga)

    said = list(AuditEntry.objects.order_by("pk").values_list("username", "action", "detail"))
    assert [(who, what) for who, what, _ in said] == [
        ("olga", "change schedule"),
        ("olga", "pause pass"),
        ("olga", "resume pass"),
        ("olga", "change mapping"),
    ]
    assert said[0][2] == {"interval_seconds": [60, 300]}


def test_no_act_puts_what_a_person_typed_about_somebody_into_the_log_with_their_addresses(olga):
    """The log is append-only: an address in it could never be forgotten. The case keeps the words whole."""
    box = make()
    box.world.outreach.create_record("accounts", {"name": "Acme"})
    box.organisation("Acme")
    box.run()
    case = Case.objects.get()
    reason = "Ask Jane, jane.doe@acme.example or +44 (0)20 7946-0018, 020 7946 0018."

    duplicate_later(Decision(case, olga, reason=reason, wiring=box.wiring))
    mapping_save(box.sync_pass, {}, None, "leave", olga, reason=reason)

    case.refresh_from_db()
    assert case.note == reason
    assert AuditEntry.objects.count() == 2
    for entry in AuditEntry.objects.all():
        said = f"{entry.subject} {entry.detail}"
        assert "jane.doe" not in said and "7946" not in said and "Ask Jane, (address) or (number), (number)." in said
    assert audit_verify().broken is None


@pytest.mark.parametrize("text", ["2026-11-25 10:15", "run 1234567890", "60 → 300", "account 10020030040", "version 2.0.1", "0.30"])
def test_what_is_no_address_stays(text):
    assert without_addresses(text) == text


def as_migrated():
    """Puts the trigger back that the tests of other pages cannot do with."""
    import importlib
    from types import SimpleNamespace

    migration = importlib.import_module("reconciliation.migrations.0007_audit_and_undone")
    with connection.cursor() as cursor:
        for name in ("audit_no_update", "audit_no_delete"):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        migration.refuse_changes(None, SimpleNamespace(connection=connection, execute=cursor.execute))


def vars_of(box):
    schedule = schedule_of(box.sync_pass)
    return {name: getattr(schedule, name) for name in schedule.__slots__}
