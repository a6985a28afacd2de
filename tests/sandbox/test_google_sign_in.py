"""The played Google's sign-in: consent with ticks, refresh tokens that stay, a service account that acts for users."""

import base64
import hashlib
import html
import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.sandbox.google_account import AUTH, GINA, HUGO, refused

CONTACTS, CALENDAR = f"{AUTH}contacts", f"{AUTH}calendar.events"
BACK = "http://127.0.0.1:9/back"
LIST = "/v1/people/me/connections"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_call(google, **form):
    return google.raw("POST", "/token", data=form)


def error_of(answer, status, word):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"] == word and set(body) == {"error", "error_description"}, body
    return body["error_description"]


def client(google):
    return {"client_id": google.given["client_id"], "client_secret": google.given["client_secret"]}


def consent(google, *, account=GINA, granted=None, form=None, **params):
    """Goes through the consent page. Returns what the redirect says."""
    asked = {"client_id": google.given["client_id"], "redirect_uri": BACK, "response_type": "code", "scope": f"{CONTACTS} {CALENDAR}",
             "access_type": "offline", "prompt": "consent", "state": "s&1", **params}  # fmt: skip
    page = google.raw("GET", "/o/oauth2/v2/auth", params=asked)
    assert page.status_code == 200 and f"<option>{account}</option>" in page.text
    action = html.unescape(re.search(r'action="([^"]+)"', page.text)[1])
    ticks = re.findall(r'name=granted value="([^"]+)"', page.text)
    data = {"account": account, "granted": ticks if granted is None else granted, **(form or {})}
    answer = google.raw("POST", action, data=data)
    assert answer.status_code == 302 and answer.headers["Location"].startswith(BACK + "?")
    said = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    assert said.pop("state") == "s&1"
    return said


def redeem(google, code, **form):
    return token_call(google, **client(google), grant_type="authorization_code", code=code, redirect_uri=BACK, **form)


def works(google, token):
    return google.call("GET", LIST, token=token, params={"personFields": "names"}).status_code


# --- consent ------------------------------------------------------------------------------------------------------------
def test_a_code_becomes_tokens_of_the_user_who_agreed(google):
    google.create("Bo", mailbox=HUGO)
    said = consent(google, account=HUGO)

    given = redeem(google, said["code"]).json()

    assert given["token_type"] == "Bearer" and given["expires_in"] == 3599 and given["scope"] == f"{CONTACTS} {CALENDAR}" == said["scope"]
    assert given["access_token"].startswith("ya29.") and given["refresh_token"].startswith("1//0g")
    answer = google.call("GET", LIST, token=given["access_token"], params={"personFields": "names"}).json()
    assert answer["totalItems"] == 1
    error_of(redeem(google, said["code"]), 400, "invalid_grant")  # a code is good once


def test_consent_is_granular(google):
    said = consent(google, granted=[CALENDAR])
    given = redeem(google, said["code"]).json()
    assert given["scope"] == CALENDAR
    answer = google.call("GET", LIST, token=given["access_token"], params={"personFields": "names"})
    error = refused(answer, 403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    assert error["errors"][0]["reason"] == "insufficientPermissions"
    assert consent(google, granted=[]) == {"error": "access_denied"}
    assert consent(google, form={"deny": "1"}) == {"error": "access_denied"}
    again = consent(google, scope=CONTACTS, include_granted_scopes="true")
    assert set(redeem(google, again["code"]).json()["scope"].split()) == {CONTACTS, CALENDAR}


def test_a_refresh_token_is_given_when_asked_for_and_the_first_time_or_with_prompt(google):
    def has(**params):
        return "refresh_token" in redeem(google, consent(google, account=HUGO, **params)["code"]).json()

    assert [has(access_type="online"), has(prompt=""), has(prompt="consent")] == [False, False, True]
    assert "refresh_token" in redeem(google, consent(google, prompt="")["code"]).json()  # the first time of the other user


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_pkce(google, method):
    verifier = "v" * 50
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    params = {"code_challenge": digest if method == "S256" else verifier, "code_challenge_method": method}
    for wrong in ({}, {"code_verifier": "w" * 50}):
        error_of(redeem(google, consent(google, **params)["code"], **wrong), 400, "invalid_grant")
    assert redeem(google, consent(google, **params)["code"], code_verifier=verifier).status_code == 200


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": "x"}, {"redirect_uri": "http://evil.example"}, {"response_type": "token"}, {"scope": ""},
        {"scope": "https://www.googleapis.com/auth/planets"},
    ],
)  # fmt: skip
def test_what_the_consent_page_refuses(google, params):
    asked = {"client_id": google.given["client_id"], "redirect_uri": BACK, "response_type": "code", "scope": CONTACTS, **params}
    for method in ("GET", "POST"):
        answer = google.raw(
            method, "/o/oauth2/v2/auth", params=asked, data={"account": GINA, "granted": CONTACTS} if method == "POST" else None
        )
        assert answer.status_code == 400 and "Location" not in answer.headers


def test_what_the_token_endpoint_refuses(google):
    code = consent(google)["code"]
    good = {**client(google), "grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    error_of(token_call(google, **{**good, "client_id": "x"}), 401, "invalid_client")
    error_of(token_call(google, **{**good, "client_secret": "x"}), 401, "invalid_client")
    error_of(token_call(google, **{**good, "grant_type": "password"}), 400, "unsupported_grant_type")
    error_of(token_call(google, **{**good, "redirect_uri": BACK + "x"}), 400, "redirect_uri_mismatch")
    error_of(token_call(google, **{**good, "code": ""}), 400, "invalid_request")
    error_of(token_call(google, **client(google), grant_type="refresh_token"), 400, "invalid_request")
    google.clock.forward(601)
    error_of(token_call(google, **good), 400, "invalid_grant")
    assert google.raw("GET", "/token").status_code == 405


# --- refresh ------------------------------------------------------------------------------------------------------------
def refresh(google, token):
    return token_call(google, **client(google), grant_type="refresh_token", refresh_token=token)


def test_a_refresh_token_stays_the_same(google):
    old = google.given["refresh_token"]
    for _ in range(2):
        given = refresh(google, old).json()
        assert "refresh_token" not in given and works(google, given["access_token"]) == 200
    google.clock.forward(3600)
    answer = google.call("GET", LIST, token=given["access_token"], params={"personFields": "names"})
    assert refused(answer, 401, "UNAUTHENTICATED")["errors"][0]["reason"] == "authError"


def test_refresh_tokens_die(google):
    dead = "Token has been expired or revoked."
    first = google.given["refresh_token"]
    assert error_of(refresh(google, "1//0gnonsense"), 400, "invalid_grant") == dead
    google.system.set_switches({"refresh_token_days": 7})
    google.clock.forward(7 * 86400 + 1)
    assert error_of(refresh(google, first), 400, "invalid_grant") == dead
    google.system.set_switches({"refresh_token_days": None})
    assert refresh(google, first).status_code == 200
    google.clock.forward(181 * 86400)  # unused for six months
    assert error_of(refresh(google, first), 400, "invalid_grant") == dead
    oldest = redeem(google, consent(google)["code"]).json()["refresh_token"]
    for _ in range(100):
        assert refresh(google, oldest).status_code == 200
        redeem(google, consent(google)["code"])
    assert error_of(refresh(google, oldest), 400, "invalid_grant") == dead  # the 101st pushes it out


def test_revoking_takes_the_whole_family(google):
    given = redeem(google, consent(google)["code"]).json()
    other = refresh(google, given["refresh_token"]).json()["access_token"]

    assert google.raw("POST", "/revoke", data={"token": given["access_token"]}).status_code == 200

    assert [works(google, t) for t in (given["access_token"], other)] == [401, 401]
    error_of(refresh(google, given["refresh_token"]), 400, "invalid_grant")
    error_of(google.raw("POST", "/revoke", data={"token": other}), 400, "invalid_token")
    assert works(google, google.given["access_token"]) == 200


def test_a_suspended_user_is_out_until_he_is_let_in_again(google):
    gina = google.system.find_id("user", GINA)
    google.system.update_record("user", gina, {"suspended": True})
    assert works(google, google.given["access_token"]) == 401
    error_of(refresh(google, google.given["refresh_token"]), 400, "invalid_grant")
    google.system.update_record("user", gina, {"suspended": False})
    assert works(google, google.given["access_token"]) == 200 and refresh(google, google.given["refresh_token"]).status_code == 200


# --- the service account ------------------------------------------------------------------------------------------------
def assertion(google, *, key=None, header=None, **claims):
    info = google.given["service_account"]
    now = int(claims.pop("now", google.now()))
    body = {"iss": info["client_email"], "sub": GINA, "aud": "https://oauth2.googleapis.com/token", "scope": CONTACTS, "iat": now,
            "exp": now + 3600, **claims}  # fmt: skip
    parts = [
        {"alg": "RS256", "typ": "JWT", "kid": info["private_key_id"], **(header or {})},
        {k: v for k, v in body.items() if v is not None},
    ]
    head = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    key = key or load_pem_private_key(info["private_key"].encode(), None)
    signature = key.sign(head.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def delegated(google, **claims):
    return token_call(google, grant_type=JWT_BEARER, assertion=assertion(google, **claims))


def test_the_key_file_is_as_google_issues_it(google):
    info = google.given["service_account"]
    assert info["type"] == "service_account" and info["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert info["client_email"].endswith(".iam.gserviceaccount.com") and info["token_uri"] == google.base + "/token"


@pytest.mark.parametrize("aud", ["https://oauth2.googleapis.com/token", "here"])
def test_a_service_account_acts_for_a_user(google, aud):
    google.create("Bo", mailbox=HUGO)
    given = delegated(google, sub=HUGO, aud=google.base + "/token" if aud == "here" else aud).json()
    assert set(given) == {"access_token", "expires_in", "token_type"} and given["expires_in"] == 3599
    answer = google.call("GET", LIST, token=given["access_token"], params={"personFields": "names"}).json()
    assert answer["totalItems"] == 1


def test_what_is_not_delegated(google):
    google.system.set_switches({"delegated_scopes": f"{AUTH}contacts.readonly"})
    error_of(delegated(google), 401, "unauthorized_client")
    error_of(delegated(google, scope=f"{AUTH}contacts.readonly {CONTACTS}"), 401, "unauthorized_client")
    error_of(delegated(google, scope=f"{AUTH}planets"), 401, "unauthorized_client")
    token = delegated(google, scope=f"{AUTH}contacts.readonly").json()["access_token"]
    assert works(google, token) == 200
    refused(google.call("POST", "/v1/people:createContact", token=token, json={}), 403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"sub": "nobody@example.test"}, "invalid_grant"),
        ({"sub": None}, "invalid_grant"),
        ({"iss": "other@sandbox-project.iam.gserviceaccount.com"}, "invalid_grant"),
        ({"aud": "https://example.test/token"}, "invalid_grant"),
        ({"header": {"alg": "HS256"}}, "invalid_grant"),
        ({"now": 1_500_000_000}, "invalid_grant"),
        ({"now": 4_000_000_000}, "invalid_grant"),
        ({"exp": "soon"}, "invalid_grant"),
        ({"exp": 4_000_000_000}, "invalid_grant"),
        ({"scope": None}, "invalid_scope"),
    ],
)
def test_assertions_that_are_refused(google, claims, word):
    error_of(delegated(google, **claims), 400, word)


def test_an_assertion_is_signed_with_the_accounts_key(google):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "Signature" in error_of(delegated(google, key=other), 400, "invalid_grant")
    for text in ("", "a.b", "a.b.c", assertion(google)[:-6]):
        error_of(token_call(google, grant_type=JWT_BEARER, assertion=text), 400, "invalid_grant")
    gina = google.system.find_id("user", GINA)
    google.system.update_record("user", gina, {"suspended": True})
    error_of(delegated(google), 400, "invalid_grant")


def test_times_of_an_assertion_are_those_of_either_clock_unless_strict(google):
    machine = datetime.now(UTC).timestamp()
    assert delegated(google, now=machine).status_code == 200
    google.system.set_switches({"strict_assertion_times": True})
    google.clock.forward(7200 - (google.now() - machine))  # the world is two hours ahead of the machine
    assert "timeframe" in error_of(delegated(google, now=machine), 400, "invalid_grant")
    assert delegated(google).status_code == 200


# --- bearers ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("header", [None, "Bearer ya29.nonsense", "Basic eA==", "Bearer ", "ya29"])
def test_unknown_bearers(google, header):
    answer = google.raw("GET", LIST, headers={"Authorization": header} if header else {})
    error = refused(answer, 401, "UNAUTHENTICATED")
    assert error["errors"][0] == {"domain": "global", "reason": "authError", "message": error["message"], "location": "Authorization",
                                  "locationType": "header"}  # fmt: skip


def test_a_token_reads_only_what_its_scopes_allow(google):
    person = google.create()
    reader = google.token(GINA, f"{AUTH}contacts.readonly")
    path = f"/v1/{person['resourceName']}"
    assert google.call("GET", path, token=reader, params={"personFields": "names"}).status_code == 200
    refused(google.call("DELETE", f"{path}:deleteContact", token=reader), 403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    domain = google.token(GINA, f"{AUTH}directory.readonly")
    refused(google.call("GET", path, token=domain, params={"personFields": "names"}), 404)
    refused(google.call("GET", "/v1/contactGroups", token=domain), 403)


def test_the_address_of_the_consent_page_is_kept_out_of_the_log(google):
    code = consent(google)["code"]
    redeem(google, code)
    shown = json.dumps(list(google.world.calls))
    assert code not in shown and google.given["client_secret"] not in shown
    assert google.world.calls[-1]["user"] == GINA
