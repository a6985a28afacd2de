"""Alerts in a real browser: a person subscribes and tries it, with a cause and a failing mail server on the page."""

from pathlib import Path

import axe_playwright_python
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from reconciliation.models import Connection, Message, Subscription
from reconciliation.services.alert_watch import watch
from tests.admin.test_pages import HOSTILE
from tests.mailbox import mail_server
from tests.sandboxed import make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = next(Path(axe_playwright_python.__file__).parent.glob("**/axe.min.js"))
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}


@pytest.fixture
def server(settings):
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.MAIL_IS_CONFIGURED, settings.SITE_URL = True, "https://sync.example.com"
        yield server


@pytest.fixture
def admin(page, live_server):
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("ada", password="secret-words", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    page.goto(f"{live_server.url}/login/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("secret-words")
    page.get_by_role("button", name="Log in").click()
    return page


def test_a_person_subscribes_and_sends_himself_a_test(server, admin, live_server):
    complaints = []
    admin.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    admin.get_by_role("link", name="Alerts", exact=True).click()
    expect(admin.get_by_text("You are not subscribed yet.")).to_be_visible()
    admin.get_by_label("Your e-mail address").fill("ada@example.com")
    admin.get_by_label("The watchdog started something again").first.uncheck()
    admin.get_by_label("Daily digest at").fill("07:30")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("Saved.")).to_be_visible()
    admin.get_by_role("button", name="Send me a test message").click()

    expect(admin.get_by_text("took the message for ada@example.com").first).to_be_visible()
    assert server.recipients == ["ada@example.com"] and complaints == []
    row = Subscription.objects.get()
    assert row.kinds == ["connection", "late", "brake", "queue", "mailbox"] and str(row.digest_at) == "07:30:00"


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_while_something_is_wrong(server, admin, live_server, width, scheme):
    make()
    Connection.objects.filter(system="outreach").update(name=HOSTILE[:100], state="needs_attention", last_error=HOSTILE)
    watch(timezone.now())
    now = timezone.now()
    ada = User.objects.get(username="ada")
    for state in Message.State.values:
        Message.objects.create(
            what="opened", user=ada, subject=HOSTILE, body="x", state=state, says=HOSTILE, next_try_at=now, created_at=now
        )
    watch(timezone.now())
    admin.emulate_media(color_scheme=scheme)
    admin.set_viewport_size({"width": width, "height": 800})

    for path in ("/", "/alerts/"):
        admin.goto(live_server.url + path)
        assert "<script>alert" not in admin.content() and "cannot be sent" in admin.inner_text("body")
        admin.evaluate(AXE.read_text(encoding="utf-8"))
        result = admin.evaluate("rules => axe.run(document, rules)", RULES)
        assert [v["id"] for v in result["violations"] if v["impact"] in ("serious", "critical")] == [], path
        assert admin.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 1, path
