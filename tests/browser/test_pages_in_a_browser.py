"""The pages in a real browser: the admin's day, and axe on every page in light and dark."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation.jobs import apply_preview, link_duplicates, preview, retry_errors, run_now, undo_writes
from reconciliation.models import Case, Difference, Run, SecondFactor
from reconciliation.services.case_desk import sit_down
from reconciliation.services.differences import force, force_plan
from reconciliation.services.undo import undo, undoable
from tests.admin.test_log_in import code_of
from tests.admin.test_pages import HOSTILE, PAGES, address, leave_behind, leave_people, leave_questions
from tests.browser.hands import enter, faults
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, make

NO_PAGES = ("dashboard_status", "run_progress", "import_progress", "mailbox_view_count")
PARTS = 4  # of all pages, so that processes share them
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    """A sandbox with a duplicate, an error and a bound organisation; what the queue would do is done at once."""
    call_command("migrate", verbosity=0)
    box = make()
    tasks = {task.__name__: task for task in (run_now, preview, apply_preview, link_duplicates, retry_errors, undo_writes)}
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: tasks[path.rsplit(".", 1)[1]](*a))
    box.world.outreach.create_record("accounts", {"name": "Northwind Pumps", "industry": "Food"})
    box.duplicate = box.organisation("Northwind Pumps", industry="Health")
    box.bound = box.organisation("Bound <b>& Sons</b>")
    box.refused = box.organisation(HOSTILE[:200])
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    return box


@pytest.fixture
def staff(page, live_server):
    def log_in(role):
        enter(page, live_server.url, role)
        return page

    return log_in


def test_an_operator_runs_a_pass_and_reads_what_happened(box, staff, live_server):
    box.organisation("Fresh Foods")
    page = staff("operator")

    page.get_by_role("button", name="Run now").click()
    page.get_by_role("link", name="Runs", exact=True).click()
    page.locator("table.rows td a").first.click()

    expect(page.get_by_role("cell", name="Fresh Foods").first).to_be_visible()


def test_an_operator_links_a_duplicate_after_seeing_the_writes(box, staff, live_server):
    page = staff("operator")

    page.get_by_role("link", name="Duplicates").first.click()
    page.get_by_role("link", name="Northwind Pumps").click()
    expect(page.get_by_text("This will be written").first).to_be_visible()
    page.get_by_role("button", name="Link to this account").click()

    expect(page.get_by_text("” is linked.")).to_be_visible()
    assert box.show(box.duplicate)[PEER_ID] == "1" and box.show(box.duplicate)[DUPLICATE] is False


def open_duplicate(page, live_server):
    page.goto(f"{live_server.url}{address('duplicate_detail')}")


@pytest.mark.parametrize(
    ("summary", "button", "said", "decision"),
    [
        ("is a different company", "Different company", "is remembered as a different company", "different"),
        ("stop syncing this one", "Stop syncing", "is not synced any more", "unticked"),
    ],
)
def test_an_operator_decides_otherwise_and_takes_it_back(box, staff, live_server, summary, button, said, decision):
    page = staff("operator")
    open_duplicate(page, live_server)

    page.locator("summary", has_text=summary).click()
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text(said)).to_be_visible()
    assert Case.objects.get(kind="duplicate").decision == decision
    open_duplicate(page, live_server)
    page.locator("summary", has_text="Take the decision back").click()
    page.get_by_role("button", name="Undo the decision").click()

    expect(page.get_by_text("the decision was taken back")).to_be_visible()
    assert Case.objects.get(kind="duplicate").state == "open"
    assert box.show(box.duplicate)[DUPLICATE] is True


def test_later_keeps_the_case_with_a_note_for_a_colleague(box, staff, live_server):
    page = staff("operator")
    open_duplicate(page, live_server)

    page.locator("summary", has_text="Later").click()
    page.get_by_label("Note").fill("ask the sales team")
    page.get_by_label("Give it to").select_option(label="a-operator")
    page.get_by_role("button", name="Keep open with this note").click()

    expect(page.get_by_text("stays open for a-operator with your note")).to_be_visible()
    expect(page.get_by_text("for a-operator", exact=True)).to_be_visible()


def test_a_case_says_that_a_colleague_has_it_open(box, staff, live_server):
    olga = User.objects.create_user("olga")
    sit_down(Case.objects.get(kind="duplicate"), olga)
    page = staff("operator")

    open_duplicate(page, live_server)

    expect(page.get_by_text("olga has this case open just now.")).to_be_visible()


def test_a_link_is_moved_from_the_organisation_that_holds_it(box, staff, live_server):
    holder = box.organisation("Holder", **{PEER_ID: "1"})
    box.run()
    page = staff("operator")
    open_duplicate(page, live_server)

    page.get_by_role("button", name="Move the link").click()

    expect(page.get_by_text("” is linked.")).to_be_visible()
    assert (box.show(box.duplicate)[PEER_ID], box.show(holder)[PEER_ID]) == ("1", "")


def test_duplicates_with_equal_domain_are_linked_together(box, staff, live_server):
    for name in ("Acme", "Brook"):
        box.world.outreach.create_record("accounts", {"name": name, "domain": f"{name.lower()}.example"})
    ids = [box.organisation(name, website=f"https://{name.lower()}.example") for name in ("Acme", "Brook")]
    box.run()
    page = staff("operator")

    page.goto(f"{live_server.url}/duplicates/")
    page.get_by_role("link", name="Link those with equal domain").click()
    page.get_by_label("Link Brook to account").uncheck()
    page.get_by_role("button", name="Link the chosen").click()

    expect(page.get_by_text("1 is being linked")).to_be_visible()
    assert (bool(box.show(ids[0])[PEER_ID]), bool(box.show(ids[1])[PEER_ID])) == (True, False)


def test_an_account_that_is_gone_is_created_again(box, staff, live_server):
    id_ = box.organisation("Vanishing <b>& Sons</b>")
    box.run()
    box.world.outreach.delete_record("accounts", int(box.show(id_)[PEER_ID]))
    box.clock.forward(300)
    box.edit(id_, industry="Health")
    box.run()
    page = staff("operator")

    page.goto(f"{live_server.url}/errors/?reason=account_gone")
    page.get_by_role("link", name="Vanishing <b>& Sons</b>").click()
    page.locator("summary", has_text="Create it again").click()
    page.get_by_role("button", name="Create it again").click()

    expect(page.get_by_text("has no account any more for Workbooks")).to_be_visible()
    assert len(box.accounts("Vanishing <b>& Sons</b>")) == 1


def test_a_run_shows_its_progress_until_it_ends(box, staff, live_server):
    run = Run.objects.create(sync_pass=box.sync_pass, state=Run.State.RUNNING, started_at=box.clock(), seen=7)
    page = staff("viewer")

    page.goto(f"{live_server.url}/runs/{run.pk}/")
    expect(page.get_by_role("progressbar")).to_be_visible()
    Run.objects.filter(pk=run.pk).update(seen=41)
    expect(page.locator("[data-seen]", has_text="41")).to_be_visible()
    Run.objects.filter(pk=run.pk).update(state=Run.State.FINISHED, ended_at=box.clock())

    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_text("Finished").first).to_be_visible()


def test_an_admin_sees_what_a_mapping_would_change_before_saving(box, staff, live_server):
    box.organisation("Golden", organisation_category="Gold")
    box.run()
    page = staff("admin")
    page.goto(f"{live_server.url}/connections/")
    for n in (0, 1):
        page.get_by_role("button", name="Test").nth(n).click()
    page.goto(f"{live_server.url}{address('mapping_edit')}")

    page.get_by_label("Workbooks field of the new row").select_option("organisation_category")
    page.get_by_label("Outreach field of the new row").select_option("companyType")
    page.get_by_label("Conversion of the new row").select_option("text")
    page.get_by_role("button", name="Show what would change").click()

    expect(page.get_by_text("companyType in 1")).to_be_visible()
    expect(page.get_by_role("cell", name="Gold", exact=True)).to_be_visible()
    expect(page.get_by_text("Version 1.")).to_be_visible()


def test_an_operator_looks_for_owners_again(box, staff, live_server):
    box.organisation("Ownerless", assigned_to_name="Somebody New")
    box.run()
    box.world.outreach.create_record("users", {"username": "Somebody New"})
    page = staff("operator")

    page.goto(f"{live_server.url}/without-owner/")
    expect(page.get_by_role("cell", name="Somebody New")).to_be_visible()
    page.get_by_role("button", name="Look again now").click()

    expect(page.get_by_text("1 of them is an Outreach username by now")).to_be_visible()
    expect(page.get_by_text("Every synced organisation has an owner")).to_be_visible()


def test_an_operator_retries_an_error(box, staff, live_server):
    page = staff("operator")

    page.goto(f"{live_server.url}/errors/")
    page.locator("summary", has_text="Retry all 1 open").click()
    page.get_by_role("button", name="Retry all of them").click()

    expect(page.get_by_text("It is re-armed; the pass tries it now.")).to_be_visible()
    broken = Case.objects.get(kind="error").crm_id
    assert box.show(int(broken))[ERROR] is False and box.show(int(broken))[PEER_ID]


def test_a_preview_is_made_looked_at_and_applied(box, staff, live_server):
    box.organisation("Planned")
    page = staff("operator")

    page.get_by_role("button", name="Preview").click()
    page.locator("table.rows td a").first.click()
    expect(page.get_by_text("Nothing was written.")).to_be_visible()
    assert not box.accounts("Planned")
    page.get_by_role("button", name="Apply this plan").click()

    expect(page.get_by_text("The plan is being carried out")).to_be_visible()
    assert box.accounts("Planned")


def test_an_operator_undoes_a_run_after_seeing_what_it_would_do(box, staff, live_server):
    page = staff("operator")

    page.goto(f"{live_server.url}/runs/")
    page.locator("table.rows td a").last.click()
    page.get_by_role("link", name="Undo this run").click()
    expect(page.get_by_text("is deleted; Id and URL are cleared")).to_be_visible()
    page.get_by_role("button", name="Undo").click()

    expect(page.get_by_text("1 of 1 write was taken back")).to_be_visible()
    assert len(box.accounts()) == 1


def test_an_admin_switches_a_mapping_row_off(box, staff, live_server):
    page = staff("admin")

    page.goto(f"{live_server.url}{address('mapping_edit')}")
    page.get_by_label("Enabled, row 4").uncheck()
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Saved as version 2")).to_be_visible()


def test_a_viewer_sees_and_is_offered_no_button(box, staff, live_server):
    page = staff("viewer")

    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    assert page.get_by_role("button", name="Run now").count() == 0
    page.goto(f"{live_server.url}{address('duplicate_detail')}")
    assert page.locator("main button, #content button").count() == 0


@pytest.mark.parametrize("part", range(PARTS))
def test_axe_finds_nothing_on_any_page(box, staff, live_server, part):
    box.run(kind="preview")
    leave_behind(box)
    leave_questions(box)
    leave_people(box)
    page = staff("admin")
    found = []
    shown = [name for name, (_, method) in PAGES.items() if method == "get" and name not in NO_PAGES and not name.endswith("_export")]
    for name in shown[part::PARTS]:
        page.goto(live_server.url + address(name))
        found += faults(page, name)

    assert not found


def test_who_changed_it_and_why_is_three_clicks_from_the_search_box(box, staff, live_server):
    """Acceptance 3: for a change by a pass, by a conflict rule, by a colleague's decision, by an undo."""
    olga = User.objects.create(username="olga")
    fresh = box.organisation("Fresh <b>& Sons</b>", industry="Food")
    box.run()
    box.clock.forward(300)
    box.edit(fresh, industry="Energy")
    run = box.run()
    undo(run.sync_pass, list(undoable(run)), olga, reason="wrong company", wiring=box.wiring)
    (line,) = force_plan(list(Difference.objects.all()), wiring=box.wiring)
    force([line.key], olga, reason="right after all", wiring=box.wiring)
    box.clock.forward(300)
    box.world.outreach.update_record("accounts", box.accounts("Fresh <b>& Sons</b>")[0]["id"], {"industry": "Typed there"})
    box.edit(fresh, industry="Health")
    box.run()
    page = staff("viewer")
    page.get_by_role("link", name="Records", exact=True).click()
    page.get_by_label("Name, former name").fill("fresh")

    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Fresh <b>& Sons</b>").click()
    page.get_by_role("link", name="Who changed industry").click()

    rows = page.locator("table.rows tbody tr")
    told = (
        ("Conflict rule", "Typed there", "the mapping row goes one way, so Workbooks wins"),
        ("Decision", "olga", "right after all"),
        ("Undo", "olga", "wrong company"),
        ("Pass", "Energy", "Rule industry → industry"),
    )
    for n, words in enumerate(told):
        for word in words:
            expect(rows.nth(n)).to_contain_text(word)


def test_an_operator_forces_a_difference_and_restores_what_was_deleted(box, staff, live_server):
    account = box.world.outreach.create_record("accounts", {"name": "Typed", "industry": "Food"})
    typed = box.organisation("Typed Ltd", industry="Health", **{PEER_ID: str(account["id"])})
    box.run()
    page = staff("operator")

    page.goto(f"{live_server.url}/differences/?field=industry")
    page.get_by_role("link", name="Force…").click()
    expect(page.get_by_role("cell", name="Health")).to_be_visible()
    page.get_by_role("button", name="Write 1 field").click()
    expect(page.get_by_text("Both systems hold the same now.")).to_be_visible()
    assert box.world.outreach.get_record("accounts", account["id"])["industry"] == "Health"

    box.world.workbooks.delete_record("organisations", typed)
    box.run()
    page.goto(f"{live_server.url}/records/?q=typed")
    page.get_by_role("link", name="Typed Ltd").click()
    page.get_by_role("link", name="Last values, restore…").click()
    expect(page.get_by_text("What cannot come back")).to_be_visible()
    page.get_by_role("button", name="Make the organisation again").click()
    expect(page.get_by_text("was made in its place")).to_be_visible()


def test_log_in_lock_and_second_factor_pass_axe_and_the_policy(box, page, live_server):
    """The pages that axe meets nowhere else: the log-in, its errors, the lock, enrolment with its picture, the codes."""
    user = User.objects.create_user("vera", password="secret-words-1", is_staff=True)
    user.groups.add(Group.objects.get(name="viewer"))
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    def look(name):
        assert faults(page, name) == []

    def log_in(password, code=""):
        page.goto(f"{live_server.url}/login/")
        page.get_by_label("Username").fill("vera")
        page.get_by_label("Password").fill(password)
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Log in").click()

    page.goto(f"{live_server.url}/login/")
    look("log-in")
    log_in("wrong")
    look("log-in with an error")
    log_in("secret-words-1")
    page.goto(f"{live_server.url}/second-factor/")
    look("no second factor")
    page.get_by_label("Your password").fill("secret-words-1")
    page.get_by_role("button", name="Set it up").click()
    expect(page.locator(".qr svg")).to_be_visible()
    look("enrolment")
    device = SecondFactor.objects.get()
    page.get_by_label("The code it shows").fill(code_of(device))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator(".codes code")).to_have_count(10)
    look("recovery codes")
    recovery = page.locator(".codes code").first.inner_text()
    page.locator("summary", has_text="vera").click()
    page.get_by_role("button", name="Log out").click()
    log_in("secret-words-1", recovery)
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    page.locator("summary", has_text="vera").click()
    page.get_by_role("button", name="Log out").click()
    assert complaints == []
    for _ in range(5):
        log_in("wrong")
    expect(page.get_by_role("heading", name="Too many wrong log-ins")).to_be_visible()
    look("the lock")
    assert [c for c in complaints if "429" not in c] == []
