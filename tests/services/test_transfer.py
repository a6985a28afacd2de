"""Settings carried from one site to another: shown first, stored whole or not at all, never with a secret."""

import json

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from connectors.sandbox.workbooks.metadata import Column
from reconciliation.models import AuditEntry, Case, Connection, FieldRule, MappingVersion, SyncPass
from reconciliation.services.fields import fields_read
from reconciliation.services.mappings import RowChange, mapping_save
from reconciliation.services.retention import Keep, retention_of, retention_set
from reconciliation.services.schedule import schedule_of, schedule_set
from reconciliation.services.transfer import TransferRefused, checksum, export_text, import_plan, read_document, settings_import
from reconciliation.store import organisation_columns
from tests.admin.test_pages import log_in
from tests.sandboxed import make
from tests.services.test_fields import columns_of
from tests.services.test_mappings import rows_of, with_schemas

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    call_command("migrate", verbosity=0)
    return make()


def as_tried_out(box):
    """Returns the file of a site with changes of every kind, and puts this site back to the standard."""
    mapping_save(box.sync_pass, rows_of(box), RowChange("organisation_category", "companyType", "text"), "leave")
    schedule_set(box.sync_pass, schedule_of(box.sync_pass).__class__(True, 300, 40, 14, 20, 10))
    box.sync_pass.refresh_from_db()
    box.sync_pass.settings["organisation_columns"] = {"sync": "cf_other_sync"}
    box.sync_pass.save()
    retention_set(Keep(write_days=90))
    group = Group.objects.get(name="operator")
    group.permissions.remove(group.permissions.get(codename="work_queues"))
    text = export_text()
    rows = rows_of(box)
    rows[FieldRule.objects.get(peer_field="companyType").pk] = RowChange("organisation_category", "companyType", "text", is_removed=True)
    mapping_save(box.sync_pass, rows, None, "fill_blanks")
    SyncPass.objects.update(settings={}, interval_seconds=60, time_budget_seconds=50, full_every_days=7, is_on=False)
    retention_set(Keep())
    call_command("migrate", verbosity=0)  # gives the role its permission back
    box.sync_pass.refresh_from_db()
    return text


def changed(text, **content):
    """Returns the file with other content and a checksum that fits it."""
    document = json.loads(text)
    document["content"].update(content)
    document["checksum"] = checksum(document["content"])
    return json.dumps(document)


def test_a_file_shows_exactly_what_it_would_change_and_stores_nothing(box):
    text = as_tried_out(box)
    before, audited = export_text(), AuditEntry.objects.count()

    plan = import_plan(text)

    shown = {p.title: ([(n.name, n.before, n.after) for n in p.lines], [r.sentence for r in p.rows]) for p in plan.changed}
    assert shown == {
        "Mapping Organisations → Accounts": (
            [("On first link", "Fill blanks only", "Leave differences")],
            ["added organisation_category → companyType"],
        ),
        "Pass Outreach Send/Receive": (
            [
                ("every … seconds", 60, 300),
                ("time budget, seconds", 50, 40),
                ("days between full comparisons", 7, 14),
                ("brake: blanked records", 50, 20),
                ("brake: blanked percent", 30, 10),
                ("organisation column sync", "cf_organisation_sync_to_outreach", "cf_other_sync"),
            ],
            [],
        ),
        "Data kept": ([("Writes with their values before and after, days", 400, 90)], []),
        "Role operator": ([("may", "see_pages, work_queues", "see_pages")], []),
    }
    assert json.loads(export_text())["content"] == json.loads(before)["content"] and AuditEntry.objects.count() == audited


def test_a_confirmed_file_makes_this_site_say_the_same_and_is_recorded(box):
    text = as_tried_out(box)
    root = User.objects.create_superuser("root")

    settings_import(text, root, stamp=import_plan(text, root).stamp)

    assert json.loads(export_text())["checksum"] == json.loads(text)["checksum"]
    assert import_plan(text).changed == []
    assert MappingVersion.objects.first().reason == "Imported from a settings file."
    assert SyncPass.objects.get().is_on is False  # that is decided here
    entry = AuditEntry.objects.get(action="import settings")
    assert entry.username == "root" and "every … seconds: 60 → 300" in entry.detail["changes"]["Pass Outreach Send/Receive"]
    assert {"change mapping", "change schedule", "change retention", "change role"} <= set(
        AuditEntry.objects.filter(username="root").values_list("action", flat=True)
    )


def test_the_file_holds_neither_secrets_nor_addresses(box):
    Connection.objects.filter(pk=box.sync_pass.peer_id).update(secrets={"refresh_token": "planted-secret-1", "client_secret": "planted-2"})
    Connection.objects.filter(pk=box.sync_pass.crm_id).update(settings={"database_id": "planted-3"})

    text = export_text()

    for secret in ("planted", "http", "127.0.0.1", "api_key", "token"):
        assert secret not in text
    assert json.loads(text)["content"]["connections"] == [
        {"name": "Outreach (sandbox)", "system": "outreach"},
        {"name": "Workbooks (sandbox)", "system": "workbooks"},
    ]


def with_row(text, **values):
    content = json.loads(text)["content"]
    content["mappings"][0]["rows"][0].update(values)
    return changed(text, **content)


def in_content(kind, **values):
    def change(text):
        content = json.loads(text)["content"]
        row = content[kind][0] if isinstance(content[kind], list) else content[kind]
        row.update(values)
        return changed(text, **content)

    return change


def in_columns(kind, **values):
    """The file's own columns of the plugin, with some of them changed."""

    def change(text):
        columns = json.loads(text)["content"]["passes"][0][kind]
        return in_content("passes", **{kind: {**columns, **values}})(text)

    return change


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        (lambda t: t[: len(t) // 2], "cut off, or not JSON"),
        (lambda t: "", "cut off, or not JSON"),
        (lambda t: "[" * 100_000, "cut off, or not JSON"),
        (lambda t: b"\xff\xfe\x00", "cut off, or not JSON"),
        (lambda t: "[]", "no export of settings"),
        (lambda t: '{"format": "another"}', "no export of settings"),
        (lambda t: "x" * 1_000_001, "larger than 1,000,000 bytes"),
        (lambda t: t.replace('"version": 1', '"version": 2'), "this site reads version 1"),
        (lambda t: t.replace('"website"', '"phone"', 1), "changed or damaged"),
        (lambda t: t.replace('"format"', '"format": "syncsite settings", "format"', 1), "“format” twice"),
        (lambda t: t.replace('"version": 1', '"version": NaN', 1), "no number"),
        (lambda t: json.dumps({**json.loads(t), "secrets": {}}), "a field “secrets” that this version does not know"),
        (lambda t: changed(t, connections=[{"name": "x", "system": "outreach", "base_url": "http://evil"}]), "field “base_url”"),
        (lambda t: changed(t, passes={}), "content, passes must be a list"),
        (lambda t: changed(t, roles=[{"name": "superuser", "permissions": []}]), "there is no “superuser”"),
        (lambda t: changed(t, roles=[{"name": "viewer", "permissions": ["change_user"]}]), "there is no “change_user”"),
        (lambda t: with_row(t, transform="__import__"), "there is no “__import__”"),
        (lambda t: with_row(t, is_enabled="yes"), "must be true or false"),
        (lambda t: with_row(t, crm_field="a\x00b"), "signs that no name has"),
        (lambda t: with_row(t, crm_field="\ud800"), "signs that no name has"),
        (lambda t: with_row(t, crm_field="x" * 121), "1 to 120 characters"),
        (lambda t: with_row(t, peer_field="domain"), "stands there twice"),
        (in_content("mappings", rows=[]), "must be filled in Outreach"),
        (in_content("mappings", crm_object="person"), "this site does not"),
        (in_content("passes", schedule={"interval_seconds": 1}), "lacks time_budget_seconds"),
        (in_columns("person_columns", sync="x; DROP TABLE"), "person_columns, sync: “x; DROP TABLE” is no column name"),
        (in_columns("organisation_columns", peer_id="Größe"), "organisation_columns, peer_id: “Größe” is no column name"),
        (in_content("passes", person_columns={"sync": "cf_x"}), "person_columns lacks "),
        (in_content("retention", write_days=1), "between 30 and 3,650"),
        (in_content("retention", write_days=True), "must be a whole number"),
        (in_content("retention", write_days=10**30), "must be a whole number"),
    ],
)
def test_hostile_and_damaged_files_are_refused_with_a_sentence_and_store_nothing(box, hostile, said):
    text = as_tried_out(box)
    before = json.loads(export_text())["content"]

    with pytest.raises(TransferRefused, match=said):
        settings_import(hostile(text), stamp="")

    assert json.loads(export_text())["content"] == before


def test_a_schedule_out_of_bounds_is_refused(box):
    content = json.loads(export_text())["content"]
    content["passes"][0]["schedule"]["interval_seconds"] = 1

    with pytest.raises(TransferRefused, match="The interval must lie between 60 and 86,400 seconds"):
        import_plan(changed(export_text(), **content))


def test_a_row_that_cannot_work_here_refuses_the_whole_file(box):
    text = as_tried_out(box)
    with_schemas(box)
    content = json.loads(text)["content"]
    content["mappings"][0]["rows"][-1]["crm_field"] = "nowhere"

    with pytest.raises(TransferRefused, match="has no field 'nowhere'"):
        import_plan(changed(text, **content))


# --- the plugin's columns ------------------------------------------------------------------------------------------------
def with_columns(kind="organisation_columns", **columns):
    """Returns the file of this site with other columns of the plugin."""
    content = json.loads(export_text())["content"]
    content["passes"][0][kind].update(columns)
    return changed(export_text(), **content)


@pytest.mark.parametrize(
    ("kind", "columns", "said"),
    [
        ("organisation_columns", {"sync": "cf_nowhere"}, "Sync to Outreach of organisations must be a field .* of the type Checkbox"),
        ("person_columns", {"peer_id": "cf_nowhere"}, "Outreach Id of people must be a field of Workbooks of the type Text"),
        ("organisation_columns", {"sync": "cf_organisation_outreach_url"}, "Sync to Outreach of organisations must be a field"),
        ("organisation_columns", {"peer_id": "cf_organisation_outreach_url"}, "cannot stand for two fields of organisations"),
        ("organisation_columns", {"error": "cf_organisation_outreach_duplicate"}, "cannot stand for two fields of organisations"),
        ("person_columns", {"error": "cf_person_outreach_duplicate"}, "cannot stand for two fields of people"),
    ],
)
def test_columns_that_cannot_serve_here_refuse_the_whole_file(box, kind, columns, said):
    fields_read(box.sync_pass, wiring=box.wiring)
    before, audited = export_text(), AuditEntry.objects.count()
    text = with_columns(kind, **columns)

    with pytest.raises(TransferRefused, match=f"^Pass Outreach Send/Receive: .*{said}"):
        import_plan(text)
    with pytest.raises(TransferRefused, match=said):
        settings_import(text, stamp="")

    assert json.loads(export_text())["checksum"] == json.loads(before)["checksum"] and AuditEntry.objects.count() == audited


def test_columns_that_serve_are_taken_as_the_fields_page_takes_them(box):
    columns = columns_of(box, "organisations")
    columns["cf_other"] = Column("cf_other", "Another tick", "boolean")
    columns["cf_said"] = Column("cf_said", "Outreach Error", "boolean")
    fields_read(box.sync_pass, wiring=box.wiring)
    SyncPass.objects.update(settings={})
    text = with_columns(sync="cf_other", error_text="cf_said", error_text_is_checkbox=False)  # it is one here

    settings_import(text, stamp=import_plan(text).stamp)

    stored = organisation_columns(SyncPass.objects.get())
    assert (stored.sync, stored.error_text, stored.error_text_is_checkbox) == ("cf_other", "cf_said", True)
    assert AuditEntry.objects.filter(action="choose fields").exists() and import_plan(text).changed == []


def test_columns_are_stored_unseen_while_the_field_lists_are_unknown_and_the_next_run_holds_the_pass(box):
    box.organisation("Waits")
    text = with_columns(sync="cf_nowhere")

    settings_import(text, stamp=import_plan(text).stamp)
    box.sync_pass.refresh_from_db()
    held = box.run()

    case = Case.objects.get()
    assert (held.state, held.created, case.kind) == ("held", 0, "mapping")
    assert "cf_nowhere, which stands for Sync to Outreach" in case.sentence and "Set-up, Fields" in case.remedy
    fields_read(box.sync_pass, wiring=box.wiring)
    box.sync_pass.refresh_from_db()
    assert box.run().created == 1


def test_a_column_that_stands_twice_is_refused_while_the_field_lists_are_unknown_too(box):
    with pytest.raises(TransferRefused, match="cannot stand for two fields"):
        import_plan(with_columns(error="cf_organisation_outreach_duplicate"))


def test_a_preview_that_was_overtaken_is_refused(box):
    text = as_tried_out(box)
    stamp = import_plan(text).stamp
    retention_set(Keep(write_days=100))

    with pytest.raises(TransferRefused, match="changed since the preview"):
        settings_import(text, stamp=stamp)


def test_what_this_site_lacks_is_left_out_and_said(box):
    content = json.loads(export_text())["content"]
    content["mappings"][0]["name"] = content["passes"][0]["name"] = "elsewhere"

    plan = import_plan(changed(export_text(), **content))

    assert plan.changed == [] and len(plan.left_out) == 2 and "connect its systems first" in plan.left_out[0]


def test_an_admin_who_may_not_change_groups_cannot_give_rights_by_a_file(client, box):
    text = as_tried_out(box)
    admin = log_in(client, "admin")

    plan = import_plan(text, admin)
    settings_import(text, admin, stamp=plan.stamp)

    assert "Role operator" not in [p.title for p in plan.parts] and "Roles: only somebody" in plan.left_out[0]
    assert Group.objects.get(name="operator").permissions.filter(codename="work_queues").exists()


def test_the_page_takes_a_file_away_shows_another_and_stores_it_when_confirmed(client, box):
    text = as_tried_out(box)
    log_in(client, "admin")

    taken = client.post("/transfer/export/")
    shown = client.post("/transfer/import/", {"file": SimpleUploadedFile("<b>.json", text.encode())})
    plan = shown.context["plan"]
    page = shown.content.decode()
    refused = client.post("/transfer/apply/", {"text": text, "stamp": "x"}, follow=True).content.decode()
    assert retention_of().write_days == 400
    stored = client.post("/transfer/apply/", {"text": text, "stamp": plan.stamp}, follow=True).content.decode()

    assert "attachment" in taken.headers["Content-Disposition"] and json.loads(taken.content)["format"] == "syncsite settings"
    assert "organisation_category → companyType" in page and "<b>.json" not in page
    assert "Nothing was stored" in refused and "Stored: Mapping" in stored
    assert retention_of().write_days == 90
    broken = client.post("/transfer/import/", {"file": SimpleUploadedFile("x.json", b"\xff")}, follow=True).content.decode()
    assert "Nothing was stored" in broken


def test_the_commands_show_first_and_store_with_apply(box, tmp_path, capsys):
    text = as_tried_out(box)
    file = tmp_path / "settings.json"
    file.write_text(text, encoding="utf-8")

    call_command("import_settings", str(file))
    shown = capsys.readouterr().out
    assert "before and after, days: 400 → 90" in shown and "Nothing was stored; add --apply" in shown and retention_of().write_days == 400
    call_command("import_settings", str(file), "--apply")
    assert "Stored." in capsys.readouterr().out and retention_of().write_days == 90
    call_command("export_settings", "--output", str(tmp_path / "out.json"))
    assert read_document((tmp_path / "out.json").read_bytes()) == read_document(text)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        call_command("import_settings", str(file))
    with pytest.raises(SystemExit, match="2"):
        call_command("import_settings", str(tmp_path / "none.json"))
    assert "could not be read" in capsys.readouterr().err
