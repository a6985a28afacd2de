"""The key file of a Google service account: what is kept of it, and each file that is refused."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.google.login import account_of
from reconciliation.services.service_accounts import MOST_BYTES, AccountRefused, account_read


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def whole():
    return {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "0a1b2c",
        "private_key": pem(rsa.generate_private_key(65537, 2048)),
        "client_email": "sync@acme.iam.gserviceaccount.com",
        "client_id": "1234567890",
        "token_uri": "https://elsewhere.example/token",
    }


def test_the_connector_reads_what_is_kept_and_only_what_is_used_is_kept(whole):
    key = account_read(json.dumps(whole).encode())
    account = account_of({"service_account": key.secret()})
    assert (account.email, account.client_id, account.key_id, account.key) == (
        whole["client_email"],
        whole["client_id"],
        whole["private_key_id"],
        whole["private_key"].strip(),
    )
    assert key.shown() == {"email": whole["client_email"], "client_id": "1234567890", "key_id": "0a1b2c"}
    assert "PRIVATE" not in repr(key) and "elsewhere" not in json.dumps(key.secret())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n", "is no JSON"),
        (b"[" * 15_000, "is no JSON"),
        (b"-----BEGIN PRIVATE KEY-----\nhidden-word", "make the key as JSON"),
        (b'["a"]', "no key of a service account"),
        (b" " * (MOST_BYTES + 1), "a few thousand bytes"),
        (b'{"web": {"client_secret": "hidden-word"}}', "an OAuth client"),
        (b'{"type": "authorized_user", "refresh_token": "hidden-word"}', "its type is another one"),
        (b'{"type": "service_account", "client_id": "1"}', "lacks client_email and private_key_id and private_key"),
    ],
)
def test_a_wrong_file_is_refused_in_words_that_show_nothing_of_it(data, said):
    with pytest.raises(AccountRefused, match=said) as refusal:
        account_read(data)
    assert "hidden-word" not in str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("client_email", "hidden-word", "no account that Google could have made"),
        ("client_id", "hidden-word\x07", "no account that Google could have made"),
        ("private_key_id", "hidden-word" * 9, "no account that Google could have made"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nhidden-word\n-----END PRIVATE KEY-----\n", "cannot be read"),
        ("private_key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhidden-word", "has a password"),
        ("private_key", pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
        ("private_key", 7, "lacks private_key"),
    ],
)
def test_a_field_that_is_none_is_refused_and_not_repeated(whole, field, value, said):
    with pytest.raises(AccountRefused, match=said) as refusal:
        account_read(json.dumps({**whole, field: value}).encode())
    assert "hidden-word" not in str(refusal.value)
