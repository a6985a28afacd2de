"""Fills the search index and the tombstones from what is there: bindings, cases, events, renames and undone creates."""

from django.db import migrations

REF = "c.system || ':organisation:' || x.crm_id"
BY_ORGANISATION = """
INSERT INTO reconciliation_searchkey (sync_pass_id, ref, kind, "key", text, about, seen_at)
SELECT x.sync_pass_id, {ref}, 'name', x.name_key, MAX(x.name), '', MAX(x.{at})
FROM {table} x JOIN reconciliation_syncpass p ON p.id = x.sync_pass_id JOIN reconciliation_connection c ON c.id = p.crm_id
WHERE x.name_key <> '' GROUP BY x.sync_pass_id, {ref}, x.name_key ON CONFLICT DO NOTHING
"""
# The newest event of a record says its name; what earlier ones say it was called before.
BY_EVENT = """
INSERT INTO reconciliation_searchkey (sync_pass_id, ref, kind, "key", text, about, seen_at)
SELECT r.sync_pass_id, e.crm_ref, '{kind}', e.name_key, MAX(e.name), '', MAX(e.at)
FROM reconciliation_runevent e JOIN reconciliation_run r ON r.id = e.run_id
WHERE e.name_key <> '' {more} GROUP BY r.sync_pass_id, e.crm_ref, e.name_key ON CONFLICT DO NOTHING
"""
NEWEST = "AND e.id IN (SELECT MAX(id) FROM reconciliation_runevent GROUP BY crm_ref)"


def fill_keys(apps, schema_editor):
    for table, at in (("reconciliation_binding", "synced_at"), ("reconciliation_case", "opened_at")):
        schema_editor.execute(BY_ORGANISATION.format(ref=REF, table=table, at=at))
    schema_editor.execute(BY_EVENT.format(kind="name", more=NEWEST))
    schema_editor.execute(BY_EVENT.format(kind="former", more=""))


def fill_account_names(apps, schema_editor):
    """Accounts that we renamed were called otherwise before."""
    from reconciliation.core.values import name_key

    Operation, SearchKey = apps.get_model("reconciliation", "Operation"), apps.get_model("reconciliation", "SearchKey")
    rows = Operation.objects.filter(kind="update", object_type="account", state="confirmed").select_related("run", "connection")
    made = []
    for op in rows.only("before", "target_id", "source_ref", "settled_at", "intended_at", "run", "connection").iterator(chunk_size=1000):
        key = name_key(op.before.get("name"))
        if key:
            made.append(
                SearchKey(
                    sync_pass_id=op.run.sync_pass_id,
                    ref=f"{op.connection.system}:account:{op.target_id}",
                    kind="former",
                    key=key,
                    text=str(op.before["name"])[:255],
                    about=op.source_ref,
                    seen_at=op.settled_at or op.intended_at,
                )
            )
        if len(made) >= 1000:
            SearchKey.objects.bulk_create(made, ignore_conflicts=True)
            made = []
    SearchKey.objects.bulk_create(made, ignore_conflicts=True)


def fill_tombstones(apps, schema_editor):
    """What was deleted before we kept tombstones; who did it is not known any more."""
    get = apps.get_model
    Binding, Tombstone = get("reconciliation", "Binding"), get("reconciliation", "Tombstone")
    Operation, RunEvent = get("reconciliation", "Operation"), get("reconciliation", "RunEvent")
    for binding in Binding.objects.filter(is_tombstone=True).select_related("sync_pass__crm").iterator(chunk_size=1000):
        ref = f"{binding.sync_pass.crm.system}:organisation:{binding.crm_id}"
        common = {
            "sync_pass_id": binding.sync_pass_id,
            "binding": binding,
            "crm_id": binding.crm_id,
            "peer_id": binding.peer_id,
            "name": binding.name,
            "crm_values": binding.crm_base,
            "peer_values": binding.peer_base,
        }
        event = RunEvent.objects.filter(crm_ref=ref, reason="deleted").order_by("-id").first()
        undone = Operation.objects.filter(source_ref=ref, kind="delete", state="confirmed").order_by("-id").first()
        if event is not None:
            Tombstone.objects.create(**common, why="crm", found_at=event.at, run_id=event.run_id)
        elif undone is not None:
            at, who = undone.settled_at or undone.intended_at, str(undone.origin.get("staff", ""))[:255]
            Tombstone.objects.create(
                **common, why="undo", found_at=at, deleted_at=at, deleted_by=who, run_id=undone.run_id, operation_id=undone.pk
            )


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0014_records")]

    operations = [
        migrations.RunPython(fill_keys, migrations.RunPython.noop),
        migrations.RunPython(fill_account_names, migrations.RunPython.noop),
        migrations.RunPython(fill_tombstones, migrations.RunPython.noop),
    ]
