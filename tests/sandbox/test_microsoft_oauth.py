"""The played identity platform: tokens by secret, certificate, consent and refresh; what is refused and in which shape."""

import base64
import hashlib
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.sandbox.graph import ANN, BOB, refused

SCOPE = "https://graph.microsoft.com/.default"
BACK = "http://127.0.0.1:9/back"
ASKED = "https://graph.microsoft.com/Contacts.ReadWrite User.Read offline_access openid"


def ask(graph, tenant=None, **fields):
    given = {"client_id": graph.given["client_id"], "client_secret": graph.given["client_secret"], **fields}
    form = {name: value for name, value in given.items() if value is not None}
    return graph.raw("POST", f"/{tenant or graph.given['tenant']}/oauth2/v2.0/token", data=form)


def app_token(graph, **fields):
    answer = ask(graph, grant_type="client_credentials", scope=SCOPE, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(answer):
    """Returns status, word and number of a refusal; its shape is checked."""
    body = answer.json()
    number = body["error_codes"][0]
    assert body["error_description"].startswith(f"AADSTS{number}: ") and f"Trace ID: {body['trace_id']}" in body["error_description"]
    assert body["correlation_id"] in body["error_description"] and body["error_uri"].endswith(f"code={number}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", body["timestamp"])
    return answer.status_code, body["error"], number


def read(graph, token, path=f"/users/{ANN}/contacts"):
    return graph.raw("GET", f"/v1.0{path}", headers={"Authorization": f"Bearer {token}"})


# --- the app itself ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tenant", [None, "example.test", "EXAMPLE.test"])
def test_a_secret_gets_a_token_that_ends(graph, tenant):
    told = app_token(graph, tenant=tenant)

    assert set(told) == {"token_type", "expires_in", "ext_expires_in", "access_token"} and told["expires_in"] == 3599
    assert told["access_token"].startswith("eyJ0") and read(graph, told["access_token"]).status_code == 200
    claims = jwt.decode(told["access_token"], options={"verify_signature": False, "verify_exp": False})
    assert "Contacts.ReadWrite" in claims["roles"] and claims["tid"] == graph.given["tenant"]
    graph.clock.forward(3599)
    assert refused(read(graph, told["access_token"])) == (401, "InvalidAuthenticationToken")


def test_no_token_a_wrong_one_and_an_expired_one_are_told_apart(graph):
    told = [graph.raw("GET", "/v1.0/users"), read(graph, "nonsense")]
    graph.system.expire_tokens()
    told.append(read(graph, graph.given["access_token"]))

    assert [refused(answer) for answer in told] == [(401, "InvalidAuthenticationToken")] * 3
    messages = [answer.json()["error"]["message"] for answer in told]
    assert messages[0] == "Access token is empty." and messages[2] == "Lifetime validation failed, the token is expired."
    assert len(set(messages)) == 3 and graph.get("contacts")["value"] == []  # the control port offers another one


@pytest.mark.parametrize(
    ("fields", "refusal_"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": "11111111-1111-1111-1111-111111111111"}, (400, "unauthorized_client", 700016)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"tenant": "11111111-1111-1111-1111-111111111111"}, (400, "invalid_request", 90002)),
        ({"tenant": "nowhere"}, (400, "invalid_request", 900023)),
        ({"tenant": "common"}, (400, "invalid_request", 900023)),
        ({"scope": "https://graph.microsoft.com/Contacts.Read"}, (400, "invalid_scope", 1002012)),
        ({"scope": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, (400, "invalid_grant", 700082)),
        ({"grant_type": "authorization_code", "code": "x", "redirect_uri": BACK}, (400, "invalid_grant", 70008)),
        ({"client_assertion": "x.y.z"}, (400, "invalid_request", 50012)),
    ],
)
def test_requests_for_tokens_that_are_refused(graph, fields, refusal_):
    assert refusal(ask(graph, **{"grant_type": "client_credentials", "scope": SCOPE, **fields})) == refusal_


def test_an_expired_secret_and_a_get(graph):
    graph.switch(secret_is_expired=True)
    assert refusal(ask(graph, grant_type="client_credentials", scope=SCOPE)) == (401, "invalid_client", 7000222)
    assert refusal(graph.raw("GET", "/common/oauth2/v2.0/token"))[1] == "invalid_request"


# --- certificates -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def certificate(key, graph):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sync")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    now = graph.clock()
    return builder.not_valid_before(now).not_valid_after(now + timedelta(days=9)).sign(key, SHA256())


def signed(graph, key, headers, algorithm="RS256", **claims):
    now = graph.clock()
    own = {"aud": f"https://login.microsoftonline.com/{graph.given['tenant']}/oauth2/v2.0/token", "iss": graph.given["client_id"],
           "sub": graph.given["client_id"], "jti": "1", "nbf": now, "exp": now + timedelta(minutes=5)}  # fmt: skip
    return jwt.encode({**own, **claims}, key, algorithm, headers=headers)


def by_assertion(graph, assertion):
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    fields = {"client_secret": None, "client_assertion": assertion, "client_assertion_type": kind}
    return ask(graph, grant_type="client_credentials", scope=SCOPE, **fields)


def print_of(certificate, algorithm):
    return base64.urlsafe_b64encode(certificate.fingerprint(algorithm)).rstrip(b"=").decode()


def test_an_assertion_signed_for_the_certificate_gets_a_token(graph, key, certificate):
    graph.switch(certificate=certificate.public_bytes(Encoding.PEM).decode())
    old, new = {"x5t": print_of(certificate, SHA1())}, {"x5t#S256": print_of(certificate, SHA256())}

    assert read(graph, by_assertion(graph, signed(graph, key, old)).json()["access_token"]).status_code == 200
    assert by_assertion(graph, signed(graph, key, new, "PS256")).status_code == 200
    assert by_assertion(graph, signed(graph, key, new, aud="https://x.example/example.test/v2.0")).status_code == 200


def test_assertions_that_are_refused(graph, key, certificate):
    x5t = {"x5t": print_of(certificate, SHA1())}
    assert refusal(by_assertion(graph, signed(graph, key, x5t))) == (401, "invalid_client", 700027)  # none is uploaded
    graph.switch(certificate=certificate.public_bytes(Encoding.PEM).decode())
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past = graph.clock() - timedelta(seconds=1)

    for assertion, number in (
        (signed(graph, other, x5t), 700027),
        (signed(graph, key, {"x5t": "AAAA"}), 700027),
        (signed(graph, key, {}), 700027),
        (jwt.encode({"iss": "x"}, "a secret that is as long as it has to be", "HS256"), 700027),
        ("x.y.z", 700027),
        (signed(graph, key, x5t, sub="somebody"), 700021),
        (signed(graph, key, x5t, aud="https://login.microsoftonline.com/other.example/oauth2/v2.0/token"), 700023),
        (signed(graph, key, x5t, exp=past), 700024),
        (signed(graph, key, x5t, nbf=graph.clock() + timedelta(hours=1)), 700024),
    ):
        assert refusal(by_assertion(graph, assertion)) == (401, "invalid_client", number)


def test_a_bare_public_key_does_too_and_what_is_no_key_does_not(graph, key):
    graph.switch(certificate=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    assert by_assertion(graph, signed(graph, key, {})).status_code == 200
    with pytest.raises(ValueError, match="."):
        graph.switch(certificate="no key")


# --- people who sign in -----------------------------------------------------------------------------------------------------
def consent(graph, method="POST", tenant="common", **fields):
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    given = {"client_id": graph.given["client_id"], "response_type": "code", "redirect_uri": BACK, "response_mode": "query",
             "scope": ASKED, "state": "s&1", "code_challenge": challenge, "code_challenge_method": "S256", **fields}  # fmt: skip
    options = {"params": given} if method == "GET" else {"data": {"login_hint": ANN, **given}}
    return graph.raw(method, f"/{tenant}/oauth2/v2.0/authorize", **options)


def led_back(answer):
    assert answer.status_code == 302 and answer.headers["Location"].startswith(f"{BACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def redeem(graph, code, **fields):
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": "v" * 50, **fields}
    return ask(graph, tenant="common", **given)


def test_a_person_signs_in_and_reaches_the_own_mailbox_only(graph):
    page = consent(graph, "GET")
    assert "Contacts.ReadWrite" in page.text and ANN in page.text and "s&amp;1" in page.text
    back = led_back(consent(graph))
    assert back["state"] == "s&1"

    told = redeem(graph, back["code"], client_info="1").json()

    assert told["scope"] == "https://graph.microsoft.com/Contacts.ReadWrite https://graph.microsoft.com/User.Read"
    claims = jwt.decode(told["id_token"], options={"verify_signature": False, "verify_exp": False})
    assert claims["preferred_username"] == ANN and claims["aud"] == graph.given["client_id"]
    assert json.loads(base64.urlsafe_b64decode(told["client_info"] + "=="))["utid"] == graph.given["tenant"]
    assert read(graph, told["access_token"], "/me").json()["mail"] == ANN
    assert read(graph, told["access_token"], "/me/contacts").status_code == 200
    assert refused(read(graph, told["access_token"], f"/users/{BOB}/contacts")) == (403, "ErrorAccessDenied")
    assert refused(read(graph, told["access_token"], "/users")) == (403, "Authorization_RequestDenied")
    assert refused(read(graph, told["access_token"], "/me/outlook/masterCategories")) == (403, "ErrorAccessDenied")


def test_a_code_is_good_once_and_for_ten_minutes_and_for_who_asked(graph):
    def code():
        return led_back(consent(graph))["code"]

    assert refusal(redeem(graph, code(), code_verifier="other"))[1:] == ("invalid_grant", 501481)
    assert refusal(redeem(graph, code(), redirect_uri="http://127.0.0.1:9/other"))[1] == "invalid_grant"
    assert refusal(redeem(graph, code(), client_secret="wrong"))[0] == 401
    once = code()
    assert redeem(graph, once).status_code == 200
    assert refusal(redeem(graph, once)) == (400, "invalid_grant", 70008)
    late = code()
    graph.clock.forward(601)
    assert refusal(redeem(graph, late)) == (400, "invalid_grant", 70008)


def test_refresh_tokens_are_replaced_on_each_use(graph):
    def renew(token):
        return ask(graph, grant_type="refresh_token", refresh_token=token)

    first = redeem(graph, led_back(consent(graph))["code"]).json()["refresh_token"]
    second = renew(first).json()["refresh_token"]
    assert second != first and refusal(renew(first)) == (400, "invalid_grant", 700082)
    graph.switch(strict_rotation=False)
    third = renew(second).json()["refresh_token"]
    assert renew(second).status_code == 200
    graph.clock.forward(90 * 86400)
    assert refusal(renew(third)) == (400, "invalid_grant", 700082)


def test_no_refresh_token_without_offline_access(graph):
    told = redeem(graph, led_back(consent(graph, scope="User.Read"))["code"]).json()
    assert "refresh_token" not in told and "id_token" not in told


def test_what_the_consent_page_refuses_and_leads_back_with(graph):
    assert led_back(consent(graph, deny="1"))["error"] == "access_denied"
    assert led_back(consent(graph, scope="planets"))["error"] == "invalid_scope"
    assert led_back(consent(graph, response_type="token"))["error"] == "unsupported_response_type"
    assert led_back(consent(graph, code_challenge_method="plain"))["error"] == "invalid_request"
    assert led_back(consent(graph, "GET", prompt="none"))["error"] == "login_required"
    assert led_back(consent(graph, "GET", prompt="none", login_hint=BOB))["code"]
    for bad in ({"client_id": "x"}, {"redirect_uri": "http://elsewhere.example/"}, {"tenant": "nowhere"}):
        page = consent(graph, "GET", **bad)
        assert page.status_code == 400 and "AADSTS" in page.text and "Location" not in page.headers


def test_an_administrator_consents_for_the_tenant(graph):
    graph.switch(permissions="")
    assert refused(read(graph, app_token(graph)["access_token"])) == (403, "ErrorAccessDenied")
    given = {"client_id": graph.given["client_id"], "redirect_uri": BACK, "state": "s"}

    page = graph.raw("GET", "/organizations/adminconsent", params=given)
    assert "Contacts.ReadWrite" in page.text
    back = led_back(graph.raw("POST", "/organizations/adminconsent", data=given))

    assert back == {"tenant": graph.given["tenant"], "state": "s", "admin_consent": "True"}
    assert read(graph, app_token(graph)["access_token"]).status_code == 200
    assert led_back(graph.raw("POST", "/organizations/adminconsent", data={**given, "deny": "1"}))["error"] == "access_denied"


@pytest.mark.parametrize(
    ("permissions", "path", "method", "refusal_"),
    [
        ("Contacts.Read", "contacts", "POST", (403, "ErrorAccessDenied")),
        ("Contacts.Read", "contacts", "GET", None),
        ("Contacts.Read", "contactFolders", "POST", (403, "ErrorAccessDenied")),
        ("MailboxSettings.Read", "outlook/masterCategories", "GET", None),
        ("MailboxSettings.Read", "outlook/masterCategories", "POST", (403, "ErrorAccessDenied")),
        ("Contacts.ReadWrite", "mailFolders/deleteditems", "GET", (403, "ErrorAccessDenied")),
        ("Contacts.ReadWrite", "/users", "GET", (403, "Authorization_RequestDenied")),
        ("Directory.Read.All", "/users", "GET", None),
    ],
)
def test_what_a_token_may_do(graph, permissions, path, method, refusal_):
    graph.switch(permissions=permissions)
    answer = graph.call(method, path, json={"displayName": "A"} if method == "POST" else None)
    assert answer.status_code == 200 if refusal_ is None else refused(answer) == refusal_


# --- discovery --------------------------------------------------------------------------------------------------------------
def test_the_discovery_document_leads_to_the_endpoints(graph):
    tenant = graph.given["tenant"]
    own = graph.base.removeprefix("http://")
    for host, url in (("vendor", "https://login.microsoftonline.com"), ("own", f"http://{own}"), ("own_https", f"https://{own}")):
        graph.switch(discovery_host=host)
        found = graph.raw("GET", f"/{tenant}/v2.0/.well-known/openid-configuration").json()
        assert found["token_endpoint"] == f"{url}/{tenant}/oauth2/v2.0/token"
        assert found["authorization_endpoint"] == f"{url}/{tenant}/oauth2/v2.0/authorize" and tenant in found["issuer"]
    asked = {"api-version": "1.1", "authorization_endpoint": f"https://x.example/{tenant}/oauth2/v2.0/authorize"}
    instance = graph.raw("GET", "/common/discovery/instance", params=asked).json()
    assert instance["tenant_discovery_endpoint"].endswith(f"/{tenant}/v2.0/.well-known/openid-configuration")
    nowhere = graph.raw("GET", "/nowhere/v2.0/.well-known/openid-configuration")
    assert refusal(nowhere) == (400, "invalid_request", 900023)
