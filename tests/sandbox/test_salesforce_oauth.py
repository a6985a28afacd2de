"""Tokens of the played Salesforce: each flow, how tokens die, and the errors in the documented form."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.sandbox.force import Salesforce, refusal, refused

TOKEN, AUTHORIZE = "/services/oauth2/token", "/services/oauth2/authorize"
BACK = "http://127.0.0.1:8000/oauth/callback"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def ask(force, grant_type, *, headers=None, **given):
    own = {"client_id": force.given["client_id"], "client_secret": force.given["client_secret"]}
    form = {k: v for k, v in {"grant_type": grant_type, **own, **given}.items() if v is not None}
    return force.raw("POST", TOKEN, data=form, headers=headers or {})


def error(answer):
    body = answer.json()
    assert answer.status_code == 400 and set(body) == {"error", "error_description"}
    return body["error"], body["error_description"]


def can_read(force, token):
    return force.raw("GET", "/services/data/v67.0/limits", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def code_of(force, press="", **asked):
    """Returns the query that the consent page leads back with."""
    query = {"response_type": "code", "client_id": force.given["client_id"], "redirect_uri": BACK, "state": "s 1", **asked}
    shown = force.raw("GET", AUTHORIZE, params=query)
    if shown.status_code == 200:
        assert "Allow access" in shown.text
        shown = force.raw("POST", AUTHORIZE, data={**query, **({press: "1"} if press else {})})
    assert shown.status_code == 302 and shown.headers["Location"].startswith(BACK)
    return {k: v[0] for k, v in parse_qs(urlsplit(shown.headers["Location"]).query).items()}


# --- web server flow ----------------------------------------------------------------------------------------------------
def test_a_code_is_changed_for_tokens_once(force):
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    back = code_of(force, scope="api refresh_token", code_challenge=challenge, code_challenge_method="S256")
    assert back["state"] == "s 1"
    given = {"code": back["code"], "redirect_uri": BACK, "code_verifier": verifier}

    body = ask(force, "authorization_code", **given).json()

    assert can_read(force, body["access_token"]) and body["refresh_token"].startswith("5Aep861")
    assert (body["instance_url"], body["token_type"], body["scope"]) == (force.base, "Bearer", "api refresh_token")
    assert body["access_token"].split("!")[0] == force.given["organization_id"]
    assert body["id"] == f"{force.base}/id/{force.given['organization_id']}/{force.given['user_id']}"
    assert body["issued_at"] == str(int(force.clock.at.timestamp() * 1000)) and "expires_in" not in body and "id_token" not in body
    signature = hmac.new(force.given["client_secret"].encode(), (body["id"] + body["issued_at"]).encode(), "sha256").digest()
    assert base64.b64decode(body["signature"]) == signature
    assert error(ask(force, "authorization_code", **given))[0] == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"redirect_uri": BACK + "/x"}, "invalid_grant"),
        ({"code": "aPrxX"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"client_id": "x"}, "invalid_client_id"),
    ],
)
def test_codes_that_are_not_good(force, changed, code):
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 64).digest()).rstrip(b"=").decode()
    back = code_of(force, code_challenge=challenge)
    given = {"code": back["code"], "redirect_uri": BACK, "code_verifier": "v" * 64, **changed}
    assert error(ask(force, "authorization_code", **given))[0] == code


def test_a_code_expires(force):
    back = code_of(force)
    force.clock.forward(601)
    assert error(ask(force, "authorization_code", code=back["code"], redirect_uri=BACK)) == ("invalid_grant", "expired authorization code")


def test_a_person_may_refuse_and_an_app_may_be_wrong(force):
    assert code_of(force, "deny") == {"error": "access_denied", "error_description": "end-user denied authorization", "state": "s 1"}
    assert code_of(force, scope="api planets")["error"] == "invalid_scope"
    assert code_of(force, response_type="token")["error"] == "unsupported_response_type"
    assert code_of(force, code_challenge="x", code_challenge_method="plain")["error"] == "invalid_request"
    force.switch(require_pkce=True)
    assert code_of(force)["error_description"] == "missing required code challenge"
    for wrong in ({"client_id": "x"}, {"redirect_uri": "ftp://x"}):
        query = {"response_type": "code", "client_id": force.given["client_id"], "redirect_uri": BACK, **wrong}
        assert force.raw("GET", AUTHORIZE, params=query).status_code == 400


def test_what_was_asked_for_is_what_the_tokens_may_do(force):
    def tokens(**asked):
        return ask(force, "authorization_code", code=code_of(force, **asked)["code"], redirect_uri=BACK).json()

    assert "refresh_token" not in tokens(scope="api")
    identity = tokens(scope="openid", nonce="n1")
    answer = force.raw("GET", "/services/data/v67.0/limits", headers={"Authorization": f"Bearer {identity['access_token']}"})
    assert refused(answer)[:3] == (401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
    claims = json.loads(base64.urlsafe_b64decode(identity["id_token"].split(".")[1] + "=="))
    assert (claims["aud"], claims["sub"], claims["nonce"]) == (force.given["client_id"], identity["id"], "n1")
    force.switch(scopes="api")
    assert tokens(scope="api refresh_token openid")["scope"] == "api"


# --- refresh ------------------------------------------------------------------------------------------------------------
def test_a_refresh_gives_no_new_refresh_token_unless_they_rotate(force):
    old = force.given["refresh_token"]
    body = ask(force, "refresh_token", refresh_token=old).json()
    assert can_read(force, body["access_token"]) and "refresh_token" not in body and "issued_at" in body

    force.switch(rotate_refresh_tokens=True)
    rotated = ask(force, "refresh_token", refresh_token=old).json()["refresh_token"]

    assert error(ask(force, "refresh_token", refresh_token=old)) == ("invalid_grant", "expired access/refresh token")
    assert ask(force, "refresh_token", refresh_token=rotated).status_code == 200


def test_the_secret_may_come_as_basic_and_be_left_out_where_the_app_says_so(force):
    pair = f"{force.given['client_id']}:{force.given['client_secret']}"
    basic = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    given = {"refresh_token": force.given["refresh_token"]}
    assert ask(force, "refresh_token", **given, client_id=None, client_secret=None, headers=basic).status_code == 200
    assert error(ask(force, "refresh_token", **given, client_secret=None)) == (
        "invalid_request",
        "missing required parameter: client_secret",
    )
    force.switch(require_secret=False)
    assert ask(force, "refresh_token", **given, client_secret=None).status_code == 200
    assert error(ask(force, "refresh_token", **given, client_secret="x"))[0] == "invalid_client"


def test_a_refresh_token_dies_unused_and_lives_used(force):
    force.switch(refresh_idle_days=30)
    token = force.given["refresh_token"]
    for _ in range(2):
        force.clock.forward(29 * 86400)
        assert ask(force, "refresh_token", refresh_token=token).status_code == 200
    force.clock.forward(30 * 86400 + 1)
    assert error(ask(force, "refresh_token", refresh_token=token))[0] == "invalid_grant"


def test_an_inactive_user_gets_no_tokens(force):
    force.person("User", force.given["user_id"], IsActive=False)
    assert error(ask(force, "refresh_token", refresh_token=force.given["refresh_token"]))[0] == "inactive_user"


def test_grants_that_do_not_exist(force):
    assert error(ask(force, "password")) == ("unsupported_grant_type", "grant type not supported")
    assert error(force.raw("POST", TOKEN, data={"client_id": "x"})) == ("invalid_request", "missing required parameter: grant_type")
    assert force.raw("POST", TOKEN, json={"grant_type": "refresh_token"}).status_code == 400
    assert force.raw("GET", TOKEN).status_code == 404


# --- client credentials and signed assertions ---------------------------------------------------------------------------
def test_client_credentials(force):
    body = ask(force, "client_credentials").json()
    assert can_read(force, body["access_token"]) and "refresh_token" not in body and body["scope"] == "api openid"
    assert error(ask(force, "client_credentials", client_secret="x"))[0] == "invalid_client"
    force.switch(has_run_as_user=False)
    assert error(ask(force, "client_credentials")) == ("invalid_request", "no client credentials user enabled")


@cache
def keys():
    return [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncsite")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def assertion(force, key, **changed):
    claims = {"iss": force.given["client_id"], "sub": force.given["username"], "aud": "https://login.salesforce.com"}
    claims = {**claims, "exp": int(force.clock.at.timestamp()) + 170, **changed}
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in ({"alg": "RS256"}, claims)]
    signature = key.sign(b".".join(parts), padding.PKCS1v15(), SHA256())
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def by_jwt(force, text):
    return force.raw("POST", TOKEN, data={"grant_type": JWT_GRANT, "assertion": text})


@pytest.mark.parametrize("is_certificate", [True, False])
def test_an_assertion_that_the_registered_key_signed(force, is_certificate):
    key = keys()[0]
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    force.switch(jwt_certificate=certificate(key) if is_certificate else public)

    body = by_jwt(force, assertion(force, key)).json()

    assert can_read(force, body["access_token"])
    assert set(body) == {"access_token", "scope", "instance_url", "id", "token_type"}
    assert by_jwt(force, assertion(force, key, exp=str(int(force.clock.at.timestamp()) + 100), aud=force.base)).status_code == 200


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": "x"}, "invalid_client_id"), ({"sub": "nobody@x.example"}, "invalid_grant"), ({"sub": 5}, "invalid_grant"),
        ({"aud": "https://example.com"}, "invalid_grant"), ({"exp": 0}, "invalid_grant"), ({"exp": "soon"}, "invalid_grant"),
        ({"exp": 4102444800}, "invalid_grant"),
    ],
)  # fmt: skip
def test_assertions_that_say_something_wrong(force, changed, code):
    force.switch(jwt_certificate=certificate(keys()[0]))
    assert error(by_jwt(force, assertion(force, keys()[0], **changed)))[0] == code


def test_assertions_that_are_not_signed_by_the_registered_key(force):
    signed = assertion(force, keys()[0])
    assert error(by_jwt(force, signed))[0] == "invalid_grant"  # none is registered
    force.switch(jwt_certificate=certificate(keys()[1]))
    head, body, signature = signed.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for text in (signed, "x", "a.b.c", f"{none}.{body}.", f"{head}.{body}.{signature[:-8]}"):
        assert error(by_jwt(force, text))[0] == "invalid_grant"
    force.switch(jwt_certificate=certificate(keys()[0]))
    assert by_jwt(force, signed).status_code == 200
    with pytest.raises(ValueError):
        force.switch(jwt_certificate="no certificate")


# --- how tokens die -----------------------------------------------------------------------------------------------------
def test_a_token_dies_unused_but_each_call_moves_its_end(force):
    token = force.given["access_token"]
    for _ in range(3):
        force.clock.forward(7000)
        assert can_read(force, token)
    force.clock.forward(7200)
    answer = force.raw("GET", "/services/data/v67.0/limits", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()) == (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])


def test_a_token_dies_after_a_number_of_calls_and_on_demand(force):
    token = force.given["access_token"]
    force.switch(calls_per_token=2)
    assert [can_read(force, token) for _ in range(3)] == [True, True, False]
    force.switch(calls_per_token=None)
    force.world.faults.add({"kind": "expire_token", "system": "salesforce", "times": 1})
    assert not can_read(force, token)
    assert can_read(force, ask(force, "refresh_token", refresh_token=force.given["refresh_token"]).json()["access_token"])


def test_no_token_a_wrong_one_and_one_of_another_organisation(force):
    with requests.Session() as session:
        other = Salesforce(session, seed=8)
    assert other.given["organization_id"] != force.given["organization_id"]
    for token in ("", "x", other.given["access_token"]):
        assert not can_read(force, token)
    assert force.raw("GET", "/services/data/v67.0/limits").status_code == 401


def test_calls_belong_to_the_instance_that_the_token_answer_names(force):
    instance = "http://localhost:8903"
    force.switch(instance_url=instance)
    body = ask(force, "refresh_token", refresh_token=force.given["refresh_token"]).json()
    bearer = {"Authorization": f"Bearer {body['access_token']}"}

    assert body["instance_url"] == instance
    assert force.raw("GET", f"{instance}/services/data/v67.0/limits", headers=bearer).status_code == 200
    assert refusal(force.raw("GET", "/services/data/v67.0/limits", headers=bearer)) == (401, "INVALID_SESSION_ID")
    assert error(ask(force, "client_credentials"))[0] == "invalid_grant"  # not on the log-in host


def test_revoking(force):
    revoke = "/services/oauth2/revoke"
    fresh = ask(force, "refresh_token", refresh_token=force.given["refresh_token"]).json()["access_token"]
    assert force.raw("POST", revoke, data={"token": fresh}).status_code == 200
    assert not can_read(force, fresh) and can_read(force, force.given["access_token"])
    assert force.raw("POST", revoke, data={"token": force.given["refresh_token"]}).status_code == 200
    assert not can_read(force, force.given["access_token"])
    assert error(ask(force, "refresh_token", refresh_token=force.given["refresh_token"]))[0] == "invalid_grant"
    assert force.raw("POST", revoke, data={"token": "x"}).status_code == 400


# --- who it is ----------------------------------------------------------------------------------------------------------
def test_user_info_and_identity_name_the_user(force):
    bearer = {"Authorization": f"Bearer {force.given['access_token']}"}
    info = force.raw("GET", "/services/oauth2/userinfo", headers=bearer).json()
    identity = force.raw("GET", info["sub"], headers=bearer).json()

    assert info["user_id"] == identity["user_id"] == force.given["user_id"]
    assert info["preferred_username"] == identity["username"] == force.given["username"]
    assert info["organization_id"] == identity["organization_id"] == force.given["organization_id"]
    assert identity["urls"]["rest"] == f"{force.base}/services/data/v{{version}}/"


def test_who_it_is_is_told_to_good_tokens_only(force):
    for path in ("/services/oauth2/userinfo", f"/id/{force.given['organization_id']}/{force.given['user_id']}"):
        answer = force.raw("GET", path, headers={"Authorization": "Bearer x"})
        assert (answer.status_code, answer.text) == (403, "Bad_OAuth_Token")
    bearer = {"Authorization": f"Bearer {force.given['access_token']}"}
    assert force.raw("GET", f"/id/00DAA0000000099/{force.given['user_id']}", headers=bearer).text == "Wrong_Org"
    assert force.raw("GET", f"/id/{force.given['organization_id']}/005AA0000000099", headers=bearer).status_code == 404
