"""The pages of connecting: who may, what comes back from the consent page once, and where each end leads."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone

from connectors.sandbox.transport import SandboxAdapter
from reconciliation.engine.connections import open_http
from reconciliation.jobs import run_now
from reconciliation.models import Connection, MappingTable, Run, SyncPass
from tests.sandboxed import make

pytestmark = pytest.mark.django_db
CALLBACK = "/connections/callback/"


@pytest.fixture
def box(monkeypatch, client):
    """A sandbox as if it were the real systems, not connected, and an admin who is logged in by 127.0.0.1."""
    call_command("migrate", verbosity=0)
    box = make()
    for model in (SyncPass, Connection, MappingTable):
        model.objects.all().delete()
    inside = {"adapter": SandboxAdapter(box.world), "clock": box.clock.seconds, "sleep": box.clock.forward}
    monkeypatch.setattr("reconciliation.engine.connections.open_http", lambda row, **o: open_http(row, **{**o, **inside}))
    client.defaults["SERVER_NAME"] = "127.0.0.1"
    log_in(client, "ada")
    return box


def log_in(client, name, role="admin"):
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    user.groups.set([Group.objects.get(name=role)])
    client.force_login(user)


def add(client, box, system, **changes):
    desk = box.world.outreach.desk
    given = {
        "workbooks": {"base_url": "http://127.0.0.1:8901", "api_key": box.world.workbooks.api_key, "settle_seconds": "0"},
        "outreach": {
            "base_url": "http://127.0.0.1:8902",
            "page_address_template": "http://127.0.0.1:8900/a/{id}",
            "client_id": desk.client_id,
            "client_secret": desk.client_secret,
            "settle_seconds": "2",
        },
    }[system]
    return client.post(f"/connections/add/{system}/", {"name": system.capitalize(), **given, **changes}, follow=True)


@pytest.fixture
def peer(client, box):
    add(client, box, "workbooks")
    add(client, box, "outreach")
    return Connection.objects.get(system="outreach")


def begin(client, peer):
    return client.post(f"/connections/{peer.pk}/connect/").headers["Location"]


def allow(box, url, **said):
    page = requests.Request("POST", url.partition("?")[0], data=dict(parse_qsl(urlsplit(url).query)) | said).prepare()
    back = urlsplit(SandboxAdapter(box.world).send(page).headers["Location"])
    return f"{back.path}?{back.query}"


def test_adding_workbooks_tests_it_at_once_and_adding_outreach_leads_to_connect(client, box):
    first = add(client, box, "workbooks").content.decode()
    assert "was tested" in first and "database 3" in first

    second = add(client, box, "outreach").content.decode()

    assert "http://127.0.0.1/connections/callback/" in second and "then press Connect" in second
    assert "accounts.read" in second and "Delete accounts" not in second
    made = SyncPass.objects.get()
    assert made.is_on is False and box.world.outreach.desk.client_secret not in second


def test_a_refused_connection_keeps_what_was_typed_but_no_secret(client, box):
    page = add(client, box, "workbooks", base_url="https://evil.example", name="My CRM", secret_expires_on="2027-03-31").content.decode()

    assert "Nothing was added." in page and 'value="My CRM"' in page and 'value="2027-03-31"' in page
    assert box.world.workbooks.api_key not in page and not Connection.objects.exists()


def test_connecting_goes_out_with_state_and_challenge_and_comes_back_connected(client, box, peer):
    out = begin(client, peer)
    asked = dict(parse_qsl(urlsplit(out).query))
    assert out.startswith("http://127.0.0.1:8902/oauth/authorize?") and asked["code_challenge"] and asked["state"]

    page = client.get(allow(box, out), follow=True)

    assert page.redirect_chain == [(f"/connections/{peer.pk}/", 302)]
    text = page.content.decode()
    assert "is connected as Sandbox, and what it needs was tested" in text and "Connected by ada" in text and "Reconnect" in text
    peer.refresh_from_db()
    assert peer.state == "ok" and not [s for s in peer.secrets.values() if len(s) > 8 and s in text]


def test_what_comes_back_is_good_once(client, box, peer):
    back = allow(box, begin(client, peer))
    client.get(back)
    before = Connection.objects.get(pk=peer.pk).secrets

    page = client.get(back, follow=True)

    assert "belongs to no log-in that you began here" in page.content.decode()
    assert Connection.objects.get(pk=peer.pk).secrets == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda back: f"{CALLBACK}?code=x&state=forged", "belongs to no log-in"),
        (lambda back: CALLBACK, "belongs to no log-in"),
        (lambda back: back.replace("code=", "code=0"), "refused the code (invalid_grant)"),
        (lambda back: f"{CALLBACK}?state={dict(parse_qsl(urlsplit(back).query))['state']}&error=access_denied", "Access was denied"),
        (lambda back: f"{CALLBACK}?state={dict(parse_qsl(urlsplit(back).query))['state']}&error=<script>", "refused the log-in"),
    ],
    ids=["forged state", "nothing", "another code", "denied", "another error"],
)
def test_each_failure_ends_on_a_page_with_a_sentence(client, box, peer, spoil, said):
    page = client.get(spoil(allow(box, begin(client, peer))), follow=True)

    text = page.content.decode()
    assert said in text and "press Connect" in text and "<script>&" not in text and "error=<script>" not in text
    assert page.status_code == 200 and "refresh_token" not in Connection.objects.get(pk=peer.pk).secrets


def test_another_person_in_the_same_browser_cannot_finish_it(client, box, peer):
    back = allow(box, begin(client, peer))
    flows = client.session["oauth_flows"]
    log_in(client, "eve")
    session = client.session
    session["oauth_flows"] = flows  # even if the session had survived
    session.save()

    assert "belongs to no log-in that you began here" in client.get(back, follow=True).content.decode()
    assert "refresh_token" not in Connection.objects.get(pk=peer.pk).secrets


def test_after_ten_minutes_it_is_too_late(client, box, peer):
    back = allow(box, begin(client, peer))
    session = client.session
    (state,) = session["oauth_flows"]
    session["oauth_flows"][state]["begun_at"] = (timezone.now() - timedelta(minutes=11)).isoformat()
    session.save()

    assert "longer than ten minutes" in client.get(back, follow=True).content.decode()


def test_the_verifier_stays_here_and_old_flows_are_forgotten(client, box, peer):
    urls = [begin(client, peer) for _ in range(8)]

    flows = client.session["oauth_flows"]
    assert len(flows) == 5 and not [f for f in flows.values() for url in urls if f["verifier"] in url]
    assert "is connected" in client.get(allow(box, urls[-1]), follow=True).content.decode()


def test_an_operator_can_neither_connect_nor_finish(client, box, peer):
    back = allow(box, begin(client, peer))
    log_in(client, "olga", "operator")

    assert client.get(back).status_code == 403
    assert client.post(f"/connections/{peer.pk}/connect/").status_code == 403
    assert client.post("/connections/add/outreach/", {}).status_code == 403


def test_warnings_and_badges_are_seen_where_people_look(client, box, peer):
    ends = (timezone.now() + timedelta(days=12)).date()
    Connection.objects.filter(pk=peer.pk).update(secret_expires_on=ends, settings={"least_tls": "1.2"})

    for address in ("/", "/connections/", f"/connections/{peer.pk}/"):
        page = client.get(address).content.decode()
        assert "the client secret ends in 12 days" in page and ">TLS 1.2<" in page and ">SANDBOX<" in page, address


def test_the_policy_lets_forms_end_at_allowed_log_in_hosts_only(client, box):
    policy = client.get("/connections/").headers["Content-Security-Policy"]

    (form,) = [part for part in policy.split("; ") if part.startswith("form-action")]
    assert "https://*.outreach.io" in form and "'self'" in form and " * " not in f"{form} " and "https: " not in f"{form} "


def test_a_pass_that_is_switched_off_is_not_run_by_a_button_or_a_task(client, box, peer):
    answer = client.post("/passes/organisations/run/", follow=True)

    assert "is switched off. Look at its preview" in answer.content.decode() and "Run now</button>" not in answer.content.decode()
    assert run_now("organisations", "ada") == "off" and not Run.objects.exists()


def test_there_is_no_other_system_to_add(client, box):
    assert client.get("/connections/add/hubspot/").status_code == 404
