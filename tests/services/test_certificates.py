"""Key and certificate as they are uploaded: what is taken, what is refused in words that show nothing of them."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reconciliation.services.certificates import MOST_BYTES, CertificateRefused, pair_read
from tests.services.pairs import certificate_of, pem_of, rsa_key


def test_key_and_certificate_are_told_apart_in_any_order_and_in_one_file():
    key, certificate = pem_of(rsa_key()), certificate_of(rsa_key(), subject="Jo <b>", days=30)

    pair = pair_read([certificate, key])

    assert pair == pair_read([key, certificate]) == pair_read([b"# notes\r\n" + key + b"\n\n" + certificate])
    assert (pair.subject, pair.ends_on) == ("CN=Jo \\<b\\>", (datetime.now(UTC) + timedelta(days=30)).date())
    assert len(pair.fingerprint) == 95 and pair.fingerprint.count(":") == 31
    assert pair.key not in repr(pair) and pair.key.startswith("-----BEGIN PRIVATE KEY-----") and "key" not in pair.shown()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (lambda: [], "no private key and no certificate"),
        (lambda: [b"nothing of the kind", b"\xff\xfe\x00"], "no private key and no certificate"),
        (lambda: [pem_of(rsa_key())], "no certificate was found"),
        (lambda: [certificate_of(rsa_key())], "no private key was found"),
        (lambda: [pem_of(rsa_key()), pem_of(rsa_key("b")), certificate_of(rsa_key())], "more than one private key"),
        (lambda: [pem_of(rsa_key("b")), certificate_of(rsa_key())], "belongs to another private key"),
        (lambda: [pem_of(rsa_key(), b"secret"), certificate_of(rsa_key())], "has a password"),
        (lambda: [pem_of(rsa_key())[:300] + b"\n-----END PRIVATE KEY-----\n", certificate_of(rsa_key())], "private key cannot be read"),
        (lambda: [pem_of(rsa_key()), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"], "certificate cannot be read"),
        (lambda: [pem_of(rsa_key("small", 1024)), certificate_of(rsa_key("small", 1024))], "at least 2,048 bits"),
        (lambda: [pem_of(curve()), certificate_of(curve())], "RSA key"),
        (lambda: [pem_of(rsa_key()), certificate_of(rsa_key(), days=-1)], "The certificate ended on"),
        (lambda: [b"x" * (MOST_BYTES + 1)], "is no such file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(files, said):
    with pytest.raises(CertificateRefused, match=said) as refused:
        pair_read(files())

    assert "BEGIN" not in str(refused.value).replace("“BEGIN CERTIFICATE”", "") and refused.value.__cause__ is None


CURVE = []


def curve():
    CURVE.append(CURVE[0] if CURVE else ec.generate_private_key(ec.SECP256R1()))
    return CURVE[0]
