"""No secret leaves through a log, in whatever spelling it travels."""

import html
import json
from urllib.parse import quote, quote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.redaction import _SIGNS, BODY_CHARACTERS, Redactor

SECRETS = st.text(min_size=8, max_size=60).filter(lambda s: s.strip() == s and "•" not in s)


@settings(max_examples=500, deadline=None)
@given(SECRETS, st.text(max_size=50), st.integers(0, BODY_CHARACTERS + 100))
def test_a_secret_never_passes_in_any_spelling(secret, around, padding):
    redact = Redactor([secret])
    for spelling in (secret, quote(secret, safe=""), quote_plus(secret)):
        shown = redact("x" * padding + around + spelling + around)

        assert spelling not in shown


def test_what_stands_under_a_secrets_name_is_masked_though_nobody_told():
    redact = Redactor()

    assert "hunter2" not in redact("api_key=hunter2&name=Acme")
    assert "hunter2" not in redact(json.dumps({"refresh_token": "hunter2", "name": "Acme"}))
    assert "abc.def" not in redact("Authorization: Bearer abc.def")
    assert "Acme" in redact(json.dumps({"refresh_token": "hunter2", "name": "Acme"}))


def test_a_secret_is_masked_in_json_and_html_and_where_a_body_was_cut():
    secret = 'naïve "key" & <more>'
    redact = Redactor([secret])

    for spelling in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)):
        assert spelling not in redact(f"a {spelling} b")
    assert "hunter2" not in redact('{"name": "Acme", "access_token": "hunter2')
    assert "hunter2" not in redact('{"name": "Acme", "access_token": "hunter2\\')
    assert "hunter2" not in redact('{"access_token": "' + "hunter2" * 2000 + '"}')


def test_a_long_body_is_cut_and_says_how_long_it_was():
    assert Redactor()("x" * 9000).endswith("… (9000 characters)")


FRAGMENTS = [
    "api_key",
    "Client_Secret",
    "code",
    "SECRET",
    "paſſword",
    "=",
    '"',
    ": ",
    "&",
    " ",
    "hunter2",
    "Bearer",
    "basic",
    "Set-Cookie",
    "X-API-Key",
    "x",
    "\\",
]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join))
def test_looking_for_signs_first_lets_nothing_through_that_the_patterns_mask(text):
    masked = text
    for pattern, as_shown, _ in _SIGNS:
        masked = pattern.sub(as_shown, masked)

    assert Redactor()(text) == masked
