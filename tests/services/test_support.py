"""The bundle for support says all it takes to find a cause, and no secret that this site holds, wherever it strayed."""

import base64
import json
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from reconciliation.models import AuditEntry, Case, Connection, MappingVersion, Operation, Run, RunEvent
from reconciliation.services.support import NothingToBundle, all_secrets, bundle, bundle_text
from tests.admin.test_pages import log_in
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
SECRETS = {
    "api_key": "planted-api-key-1",
    "client_id": "planted-client-2",
    "client_secret": "planted/secret+3=&",
    "refresh_token": 'planted "refresh" 4',
    "access_token": "planted.access.5é",
    "nested": {"deep": ["planted-deep-6"]},
}
SPELLINGS = [*[v for v in SECRETS.values() if isinstance(v, str)], "planted-deep-6"]


@pytest.fixture
def box():
    box = make()
    box.organisation("Refused", industry="Food")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    return box


def spelled(secret):
    in_json = json.dumps(secret)[1:-1]
    return [secret, quote(secret, safe=""), quote(secret), in_json, f"Basic {base64.b64encode(secret.encode()).decode()}"]


def plant(box):
    """Writes every secret, in every spelling, into every text and JSON column of what a bundle is made of."""
    for connection in (box.sync_pass.crm, box.sync_pass.peer):
        Connection.objects.filter(pk=connection.pk).update(secrets=SECRETS)
    everything = " ".join(s for secret in [*SPELLINGS, settings.SECRET_KEY, *settings.FIELD_KEYS] for s in spelled(secret))
    everything += " Authorization: Basic dW5rbm93bjpzZWNyZXQtOQ== Cookie: session=unknown-cookie-9; a=b"
    exchange = {
        "method": "POST",
        "url": f"https://x/?q={everything}",
        "request": everything,
        "response": everything,
        "api_key": "unknown-7",
    }
    exchange |= {"headers": {"Authorization": "unknown-8"}, everything: "as a key", "body": json.dumps({"refresh_token": "unknown-10"})}
    row = {"name": "R", "sentence": everything, "reason": "x"}
    RunEvent.objects.update(sentence=everything, name=everything[:255])
    Run.objects.update(note=everything, calls={everything: 1})
    Case.objects.update(
        sentence=everything,
        remedy=everything,
        note=everything,
        trace=everything,
        exchange=exchange,
        crm_fields={"a": everything},
        candidates=[{"peer_id": "1", "name": everything, "fields": {"a": [everything]}}],
    )
    Operation.objects.update(
        exchange=exchange,
        error=everything,
        reason=everything,
        before={"a": everything},
        after={"a": everything},
        origin={"mapping": 1, "reason": everything},
    )
    MappingVersion.objects.update(rows=[{**row, "crm_field": everything}])
    Connection.objects.update(last_error=everything, base_url=f"https://x.example/?api_key={SECRETS['api_key']}")
    box.sync_pass.hold_reason = box.sync_pass.title = everything[:100]
    box.sync_pass.hold_reason = everything
    box.sync_pass.save()


def targets():
    yield "case", Case.objects.get().pk
    yield "run", Run.objects.latest("pk").pk
    yield "operation", Operation.objects.filter(state="rejected").get().pk


@pytest.mark.parametrize("shows_people", [False, True])
def test_no_planted_secret_is_in_any_bundle(box, shows_people):
    plant(box)

    for kind, pk in targets():
        text = bundle_text(kind, pk, shows_people=shows_people)

        assert len(text) > 1_000
        plain = json.loads(text)
        for secret in [*SPELLINGS, settings.SECRET_KEY, *settings.FIELD_KEYS, "unknown-7", "unknown-8", "unknown-cookie-9", "unknown-10"]:
            for spelling in [*spelled(secret)[:4], base64.b64encode(secret.encode()).decode().rstrip("=")]:
                assert spelling not in text, (kind, secret, spelling)
                assert spelling not in json.dumps(plain, ensure_ascii=False), (kind, secret, spelling)
        assert "dW5rbm93bjpzZWNyZXQtOQ" not in text


def test_every_stored_secret_and_secret_setting_is_known(box):
    Connection.objects.update(secrets=SECRETS)

    known = set(all_secrets())

    assert {*SPELLINGS, settings.SECRET_KEY, *settings.FIELD_KEYS} <= known


def test_the_bundle_says_what_support_needs(box):
    found = bundle("case", Case.objects.get().pk)

    assert found["case"]["reason"] == "refused" and found["case"]["sentence"]
    assert [op["state"] for op in found["operations"]] == ["confirmed", "rejected"]
    assert found["operations"][1]["exchange"]["status"] == 422 and "Refused" in found["operations"][1]["exchange"]["request"]
    assert [event["outcome"] for event in found["events"]] == ["failed"]
    assert found["run"]["failed"] == 1
    assert found["mapping"]["versions"]["1"][0]["peer_field"] == "name"
    assert found["product"]["packages"]["Django"] and found["product"]["python"] and found["product"]["database"]
    assert found["product"]["syncsite"] == "0.1.0"
    assert {c["system"] for c in found["connections"]} == {"workbooks", "outreach"}
    assert found["settings"]["TIME_ZONE"] == "UTC" and "SECRET_KEY" not in found["settings"] and "secrets" not in found["connections"][0]


def test_values_of_people_are_replaced_alike_wherever_they_stand_unless_asked_for(box):
    olga = User.objects.create(username="olga.owner")
    Operation.objects.update(after={"owner": "Jane Doe", "name": "Refused"}, origin={"by": "Jane Doe", "name": "Refused"})
    Case.objects.update(
        decided_by=olga,
        crm_fields={"assigned_to_name": "Jane Doe", "main_location[email]": "info@acme.example", "name": "Refused"},
        sentence="Jane Doe, jane@acme.example, could not be found.",
    )
    pk = Case.objects.get().pk

    masked, shown = bundle_text("case", pk), bundle_text("case", pk, shows_people=True)

    for person in ("Jane Doe", "jane@acme.example", "info@acme.example", "olga.owner"):
        assert person in shown and person not in masked, person
    found = json.loads(masked)
    assert found["case"]["crm_fields"]["assigned_to_name"] == found["operations"][0]["after"]["owner"] != ""
    assert found["case"]["crm_fields"]["name"] == "Refused" and "(address)" in found["case"]["sentence"]


def test_a_bundle_is_bounded(box):
    operation = Operation.objects.filter(state="rejected").get()
    for n in range(60):
        operation.pk, operation.writer_key = None, f"w{n}"
        operation.exchange = {"request": "x" * 100_000}
        operation.save(force_insert=True)

    text = bundle_text("operation", operation.pk)

    assert len(json.loads(text)["operations"]) == 50 and len(text) < 1_500_000


def test_what_is_not_there_is_said(box):
    for kind in ("case", "run", "operation", "password"):
        with pytest.raises(NothingToBundle):
            bundle(kind, 999_999)


def test_the_page_shows_it_and_the_download_is_recorded(client, box):
    log_in(client, "operator")
    case = Case.objects.get()

    assert f'href="/support/case/{case.pk}/"' in client.get(f"/errors/{case.pk}/").content.decode()
    assert f'href="/support/run/{case.run_id}/"' in client.get(f"/runs/{case.run_id}/").content.decode()
    operation = Operation.objects.filter(state="rejected").get()
    assert f'href="/support/operation/{operation.pk}/"' in client.get(f"/journal/{operation.pk}/").content.decode()
    assert "support bundle" in client.get(f"/support/case/{case.pk}/").content.decode()
    taken = client.post(f"/support/case/{case.pk}/bundle.json", {"people": "1"})

    assert json.loads(taken.content)["people"] == "shown" and "attachment" in taken.headers["Content-Disposition"]
    entry = AuditEntry.objects.get(action="copy for support")
    assert (entry.username, entry.subject, entry.detail) == ("a-operator", f"case {case.pk}", {"people": "shown"})
    assert client.get("/support/case/99999/").status_code == 404 and client.get("/support/user/1/").status_code == 404
