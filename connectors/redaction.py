"""Takes secrets out of what is logged: URLs, form bodies, JSON, headers. Bodies are cut to what support needs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "•••"
BODY_CHARACTERS = 4000
LONGEST_SECRET = 2048
_NAMES = (
    r"api_key|access_token|refresh_token|client_secret|assertion|id_token|password|authenticity_token|_authenticity_token|session_id"
    r"|code|secret"
)
_PERCENT = re.compile("%[0-9A-F]{2}")
_FORM = re.compile(rf"(?i)\b({_NAMES})=([^&\s\"]*)")
_JSON = re.compile(rf'(?i)"({_NAMES})"\s*:\s*"(?:[^"\\]|\\.)*(?:"|\\?$)')  # a body may be cut in the middle of a secret
_BEARER = re.compile(r"(?i)\b(Bearer|Basic)\s+[\w.\-~+/!]{4,}=*")
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie|authorization|x-api-key)([\"']?\s*[:=]\s*[\"']?)(?!Bearer|Basic)[^\r\n\"']+")
# What a text must hold for a pattern to find anything in it: a plain search costs a twentieth of the pattern's own, and most
# texts hold nothing.
_SIGNS = (
    (_FORM, rf"\1={MASK}", tuple(f"{name}=" for name in _NAMES.split("|"))),
    (_JSON, rf'"\1": "{MASK}"', tuple(f'"{name}"' for name in _NAMES.split("|"))),
    (_BEARER, rf"\1 {MASK}", ("bearer", "basic")),
    (_COOKIE, rf"\1\2{MASK}", ("cookie", "authorization", "x-api-key")),
)


class Redactor:
    """Masks the given secrets in every spelling they travel in, and anything that stands under a secret's name."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spellings: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Makes `secret` unseen from now on (a rotated token)."""
        if len(secret) < 4:
            return
        in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        quoted = [quote(secret, safe=""), quote_plus(secret), quote(secret)]
        quoted += [_PERCENT.sub(lambda code: code[0].lower(), spelling) for spelling in quoted]
        for spelling in (secret, *quoted, html.escape(secret), *in_json):
            if spelling not in self._spellings:
                self._spellings = sorted([*self._spellings, spelling], key=len, reverse=True)  # others may be reading

    def __call__(self, text: str, *, limit: int = BODY_CHARACTERS) -> str:
        """Returns the text without secrets, cut to `limit` characters."""
        whole = len(text)
        text = text[: limit + LONGEST_SECRET]  # what is cut away needs no masking; no secret is longer than the margin
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        plain = text.casefold()
        for pattern, masked, signs in _SIGNS:
            if any(sign in plain for sign in signs):
                text = pattern.sub(masked, text)
        return text if whole <= limit else f"{text[:limit]}… ({whole} characters)"
