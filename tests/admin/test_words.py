"""What pages say where there is little to say: names nobody can see, values nobody can see, versions that cannot come back."""

import pytest
from django.utils.html import escape

from reconciliation.models import AuditEntry, Case, MappingTable, MappingVersion
from reconciliation.services.audit import audit
from reconciliation.templatetags.sync import shown
from tests.admin.test_pages import address, log_in
from tests.admin.test_pages import world as world  # noqa: PLC0414  # the fixture

pytestmark = pytest.mark.django_db
UNSEEN = "\u200b\u00a0\u200b"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (UNSEEN, "(3 invisible characters)"),
        ("\u200b", "(an invisible character)"),
        (" a\u200b", " a\u200b"),
        ("", "–"),
        (None, "–"),
        (True, "yes"),
        (["a", "b"], "a, b"),
        ("x" * 301, f"{'x' * 300}… (301 characters)"),
    ],
)
def test_values_are_said_so_that_people_can_tell_them_apart(value, said):
    assert shown(value) == said


@pytest.mark.parametrize("kind", ["error", "duplicate"])
def test_a_case_whose_name_nobody_can_see_has_a_heading_all_the_same(client, world, kind):
    log_in(client, "viewer")
    Case.objects.update(name=UNSEEN)
    case = Case.objects.get(kind=kind)

    page = client.get(address(f"{kind}_detail")).content.decode()

    assert f"<h1>{kind.capitalize()}: (no visible name) {case.crm_id}</h1>" in page


def test_a_version_that_cannot_be_saved_is_told_and_offers_no_button(client, world):
    user = log_in(client, "admin")
    table = MappingTable.objects.get()
    for version, is_enabled in ((2, False), (3, True)):
        table.rules.filter(peer_field="name").update(is_enabled=is_enabled)
        table.version = version
        table.save()
        MappingVersion.keep(table, user, "")

    bad = client.get(f"/mappings/{table.pk}/versions/2/restore/").content.decode()
    table.rules.filter(peer_field="industry").update(is_enabled=False)
    good = client.get(f"/mappings/{table.pk}/versions/3/restore/").content.decode()

    assert "It cannot be saved as it was" in bad and "Save these rows" not in bad
    assert "It cannot be saved as it was" not in good and "Save these rows" in good


def test_the_details_of_the_audit_log_end_without_a_loose_sign(client, world):
    user = log_in(client, "admin")
    audit(user, "change connection", "Outreach", base_url="https://a.example", note="")

    page = client.get("/audit/").content.decode()

    assert AuditEntry.objects.filter(action="change connection").exists()
    assert escape("https://a.example") + "</li></ul>" in page
