"""Fields that differ between Salesforce and the contacts of mailboxes, taken from the list (D25): both mail systems."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from reconciliation.models import AuditEntry, Difference, Mailbox, Operation
from reconciliation.services.differences import chosen, force, force_plan
from reconciliation.services.undo import undo, undoable
from tests.admin.test_pages import log_in
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boxes]:
    box = boxes(request.param)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    yield box


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("ada")


def differing(box: Boxes, staff: User, address: str = "", last: str = "Lind") -> Difference:
    """A contact whose title was edited, carried over and taken back in the mailbox: both sides differ and are listed."""
    id_ = box.contact(last, f"{last.lower()}@acme.example", Title="Buyer", owner=address)
    box.run(address)
    box.edit(id_, Title="Chief")
    undo(box.passes[address or box.mine], list(undoable(box.run(address))), staff, wiring=box.wiring)
    return Difference.objects.select_related("binding").get(binding__crm_id=id_)


def title_of(box: Boxes, row: Difference, address: str = "") -> str:
    (item,) = [r for r in box.folder(address) if r["surname"] == row.binding.name.split()[-1]]
    return str(item["jobTitle"])


def plan(box: Boxes, *rows: Difference, source: str = "") -> list:
    return force_plan(chosen([row.pk for row in rows]), source=source, wiring=box.wiring)


def test_d25_a_field_is_forced_into_a_mailbox_and_can_be_taken_back(box: Boxes, staff: User) -> None:
    row = differing(box, staff)
    (line,) = plan(box, row)
    assert (line.refusal, line.now, line.becomes) == ("", "Buyer", "Chief")
    assert line.target == box.parent.peer.get_system_display()

    done = force([line.key], staff, reason="ours is right", wiring=box.wiring)

    assert (done.written, done.refusals) == (1, ())
    assert title_of(box, row) == "Chief" and not Difference.objects.exists()
    assert box.mine in AuditEntry.objects.get(action="force update").subject
    quiet = box.run()
    assert (quiet.updated, quiet.failed) == (0, 0)


def test_d25_the_mailbox_may_win_where_its_user_may_edit_the_contact(box: Boxes, staff: User) -> None:
    row = differing(box, staff)
    (line,) = plan(box, row, source="peer")
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})
    done = force([line.key], staff, wiring=box.wiring)
    assert done.written == 0 and "may not edit" in done.refusals[0] and box.show(row.binding.crm_id)["Title"] == "Chief"
    box.world.salesforce.set_switches({"read_only_users": []})

    done = force([line.key], staff, wiring=box.wiring)

    assert done.written == 1 and box.show(row.binding.crm_id)["Title"] == "Buyer"


def test_d25_what_was_taken_out_of_the_folder_and_a_mailbox_that_left_are_refused(box: Boxes, staff: User) -> None:
    row = differing(box, staff)
    (line,) = plan(box, row)
    (item,) = box.folder()
    box.change(item["id"], folder="Contacts", categories=[])
    written = Operation.objects.count()

    (refused,) = plan(box, row)
    done = force([line.key], staff, wiring=box.wiring)

    assert "personal" in refused.refusal or "gone" in refused.refusal
    assert done.written == 0 and len(done.refusals) == 1 and Operation.objects.count() == written
    Mailbox.objects.filter(address=box.mine).update(state=Mailbox.State.LEFT)
    (refused,) = plan(box, row)
    assert "has left" in refused.refusal


def test_the_list_names_the_mail_system_and_the_mailbox_and_its_force_link_works(box: Boxes, client: Client) -> None:
    user = log_in(client, "operator")
    row, system = differing(box, user), box.parent.peer.get_system_display()

    page = html.unescape(client.get("/differences/").content.decode())
    assert f"{system} holds" in page and box.mine in page
    assert "Outreach" not in page.partition("<main")[2] and 'href=""' not in page
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"/differences/force/?row={row.pk}")
    page = html.unescape(answer.content.decode())
    assert len(queries) <= 12, len(queries)
    assert f"Take what {system} holds instead" in page and box.mine in page and "Chief" in page
    (key,) = re.findall(r'name="key" value="([^"]+)"', page)
    told = client.post("/differences/force/", {"key": key}, follow=True).content.decode()

    assert "Both systems hold the same now." in told and title_of(box, row) == "Chief"
    exported = b"".join(client.get("/differences/export.csv").streaming_content).decode()  # type: ignore[attr-defined]
    assert "Outreach" not in exported


def test_a_page_reads_one_mailbox_and_says_so_of_the_others(box: Boxes, staff: User) -> None:
    rows = [differing(box, staff, box.mine), differing(box, staff, box.theirs, last="Berg")]

    lines = plan(box, *rows)

    assert sorted(line.refusal[:11] for line in lines) == ["", "One mailbox"]
