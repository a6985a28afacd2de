"""A person's second factor: an authenticator app's secret, encrypted, with recovery codes kept as digests only."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b32encode

from django.contrib.auth.models import Group
from django.db import models
from django_otp.models import Device, ThrottlingMixin
from django_otp.oath import TOTP

from reconciliation.models.encrypted import EncryptedJSONField

STEP_SECONDS, DIGITS, TOLERANCE = 30, 6, 1
RECOVERY_CODES = 10
CODE_GROUPS = 6  # of four letters: 117 bits
_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # none that is read for another


class SecondFactor(ThrottlingMixin, Device):
    """One per person. Unconfirmed until its first code was right. `secret` holds {"key": hex, "recovery": [sha256 …]}."""

    secret = EncryptedJSONField()
    last_step = models.BigIntegerField(default=-1)  # a code is good once
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user"], name="one_second_factor_a_person")]

    @staticmethod
    def fresh_secret() -> dict[str, object]:
        return {"key": secrets.token_hex(20), "recovery": []}

    @property
    def key_text(self) -> str:
        """The key as authenticator apps take it when typed."""
        return b32encode(bytes.fromhex(self.secret["key"])).decode()

    def new_recovery_codes(self) -> list[str]:
        """Replaces the recovery codes, saves, and returns the new ones: they are readable only now."""
        codes = ["-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(CODE_GROUPS)) for _ in range(RECOVERY_CODES)]
        self.secret = {**self.secret, "recovery": [_digest(code) for code in codes]}
        self.save(update_fields=["secret"])
        return codes

    @property
    def recovery_codes_left(self) -> int:
        return len(self.secret["recovery"])

    def get_throttle_factor(self) -> int:
        return 1

    def verify_token(self, token: str) -> bool:
        """Returns whether `token` is the app's code of now, not used before, or a recovery code, which it uses up. Wrong
        ones make the next try wait, longer each time. Call `django_otp.verify_token`, which holds the row meanwhile."""
        if not self.verify_is_allowed()[0]:
            return False
        text = "".join(token.split()).replace("-", "").upper()
        right = self._takes_step(int(text)) if text.isascii() and text.isdigit() and len(text) == DIGITS else self._takes_recovery(text)
        if right:
            self.throttle_reset(commit=False)
            self.save()
        else:
            self.throttle_increment()
        return right

    def _takes_step(self, code: int) -> bool:
        totp = TOTP(bytes.fromhex(self.secret["key"]), STEP_SECONDS, 0, DIGITS, 0)
        totp.time = time.time()
        if not totp.verify(code, TOLERANCE, self.last_step + 1):
            return False
        self.last_step = totp.t()
        return True

    def _takes_recovery(self, text: str) -> bool:
        digest = _digest(text)
        if digest not in self.secret["recovery"]:
            return False
        self.secret = {**self.secret, "recovery": [other for other in self.secret["recovery"] if other != digest]}
        return True


class RoleRule(models.Model):
    """What a group's members must do to log in; a group without a row must do nothing more."""

    group = models.OneToOneField(Group, on_delete=models.CASCADE, primary_key=True, related_name="rule")
    second_factor = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.group}: {'second factor' if self.second_factor else 'password'}"


def _digest(code: str) -> str:
    # 117 random bits need no slow hash; the column is encrypted besides.
    return hashlib.sha256(code.replace("-", "").encode()).hexdigest()
