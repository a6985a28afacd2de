"""A text column that is encrypted at rest with the keys of FIELD_KEYS; the first encrypts, all decrypt (rotation)."""

from __future__ import annotations

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])


def is_current(token: str) -> bool:
    """Returns whether the first key wrote the token, so that no other is needed to read it."""
    try:
        Fernet(settings.FIELD_KEYS[0]).decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def rewritten(token: str) -> str | None:
    """Returns the token written anew with the first key; None when no key of FIELD_KEYS reads it."""
    try:
        return _fernet().rotate(token.encode()).decode()
    except InvalidToken:
        return None


class EncryptedJSONField(models.TextField):
    """Holds a dict of secrets. In the database it is one opaque token; forms and dumps never show it."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> dict[str, Any]:
        if not value:
            return {}
        try:
            return dict(json.loads(_fernet().decrypt(value.encode())))
        except InvalidToken:
            raise ImproperlyConfigured("A stored secret cannot be read: FIELD_KEYS lacks the key it was written with.") from None

    def get_prep_value(self, value: Any) -> str:
        return _fernet().encrypt(json.dumps(value or {}).encode()).decode()

    def to_python(self, value: Any) -> dict[str, Any]:
        return value if isinstance(value, dict) else {}

    def value_to_string(self, obj: models.Model) -> str:
        return ""
