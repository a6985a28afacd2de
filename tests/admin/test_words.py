"""What pages say where there is little to say: names nobody can see, values nobody can see, versions that cannot come back."""

import re
from pathlib import Path

import pytest
from django.utils.html import escape

from reconciliation.core.counting import are, bent, counted
from reconciliation.models import AuditEntry, Case, MappingTable, MappingVersion
from reconciliation.services.audit import audit
from reconciliation.templatetags.sync import shown
from tests.admin.test_pages import address, log_in
from tests.admin.test_pages import world as world  # noqa: PLC0414  # the fixture

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
NOUNS = (
    "rows records prospects conflicts fields writes errors organisations accounts links runs cases deliveries days lines users steps "
    "questions duplicates people columns entries seconds minutes hours codes contacts leads imports matches differences versions values "
    "flags tasks sequences names owners"
).replace(" ", "|")
COUNTED = re.compile(rf"\{{([^{{}}\"]*)\}}\}}?(?:</\w+>)?(?: [a-z]+)? (?:{NOUNS})\b")
# What stands before such a noun and is no count, or is more than one wherever it is said.
NEVER_ONE = re.compile(
    r"MOST_|LEAST_|most|name|_title|names\.crm|pluralize|object_type|what$|kind$|steps.length|len\(found|len\(free|len\(value|len\(sizes|"
    r"len\(rows\)|len\(mine|len\(cases|len\(operations|len\(done\.fields|found\.rows|len\(accounts|sent|domain$|count$|bound$|self\.days|_days"
)
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
    table = MappingTable.objects.earliest("pk")
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


def test_a_count_is_never_said_with_a_word_that_does_not_bend():
    """Heuristic: a count straight before the plural of what is counted. `core/counting.py` and `pluralize` bend it."""
    files = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("reconciliation/**/*.py")]
    found = [(path.name, m[0]) for path in files for m in COUNTED.finditer(path.read_text()) if not NEVER_ONE.search(m[1])]

    assert len(files) > 100 and not found


def test_one_and_many_are_said_as_people_say_them():
    assert [counted(n, "row") for n in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert (counted(1, "entry", "entries"), counted(2, "entry", "entries")) == ("1 entry", "2 entries")
    assert (are(1, "row"), are(3, "row"), bent(1, "it", "them")) == ("1 row is", "3 rows are", "it")
