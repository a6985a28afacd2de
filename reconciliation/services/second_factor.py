"""Second factors: setting one up, taking it away, who must have one, and whether a session has shown it."""

from __future__ import annotations

import segno
from django.contrib.auth.models import AbstractBaseUser, Group, User
from django.db import transaction
from django.db.models import Value
from django.utils.safestring import SafeString
from django_otp import verify_token

from reconciliation.models import RoleRule, SecondFactor
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

ISSUER = "Syncsite"
WRONG_CODE = "That code is not right, or was used before. Wait for the next one; after several wrong ones, wait a minute."


def second_factor_of(user: AbstractBaseUser) -> SecondFactor | None:
    return SecondFactor.objects.filter(user_id=user.pk).first()


def second_factor_start(user: AbstractBaseUser) -> SecondFactor:
    """Makes a fresh secret that counts once its first code was right. One in use is never replaced by this."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # pressed twice, the second waits for the first
        if SecondFactor.objects.filter(user_id=user.pk, confirmed=True).exists():
            raise DecisionRefused("You have a second factor already. Take it away first to set up another app.")
        SecondFactor.objects.filter(user_id=user.pk).delete()
        return SecondFactor.objects.create(user_id=user.pk, name="authenticator app", confirmed=False, secret=SecondFactor.fresh_secret())


def second_factor_confirm(user: AbstractBaseUser, code: str) -> tuple[SecondFactor, list[str]]:
    """Turns the second factor on when `code` is right, and returns it with its recovery codes."""
    device = second_factor_of(user)
    if device is None or device.confirmed:
        raise DecisionRefused("There is no second factor to confirm. Start again.")
    taken = verify_token(user, device.persistent_id, code)
    if taken is None:
        raise DecisionRefused(WRONG_CODE)
    taken.confirmed = True
    taken.save(update_fields=["confirmed"])
    codes = taken.new_recovery_codes()
    audit(user, "second factor on", user.get_username())
    return taken, codes


def second_factor_codes(user: AbstractBaseUser, code: str) -> list[str]:
    """Replaces the recovery codes; the old ones are void."""
    device = _checked(user, code)
    codes = device.new_recovery_codes()
    audit(user, "new recovery codes", user.get_username())
    return codes


def second_factor_stop(user: AbstractBaseUser, code: str) -> None:
    if is_second_factor_required(user):
        raise DecisionRefused("Your role needs a second factor. Ask an admin to remove it when you change your phone.")
    _checked(user, code).delete()
    audit(user, "second factor off", user.get_username())


def second_factor_remove(actor: AbstractBaseUser, username: str) -> None:
    """What an admin does for a colleague whose phone is gone. The colleague logs in with the password and sets up anew."""
    found = SecondFactor.objects.filter(user__username=username, confirmed=True).first()
    if found is None:
        raise DecisionRefused("That person has no second factor.")
    if found.user_id == actor.pk:
        raise DecisionRefused("Take your own second factor away on its page, with a code.")
    if found.user.is_superuser and not getattr(actor, "is_superuser", False):
        raise DecisionRefused("Only a superuser can remove a superuser's second factor.")
    found.delete()
    audit(actor, "remove second factor", username)


def second_factor_require(actor: AbstractBaseUser, names: set[str]) -> None:
    """Makes exactly the groups `names` need a second factor."""
    before = set(RoleRule.objects.filter(second_factor=True).values_list("group__name", flat=True))
    groups = {group.name: group for group in Group.objects.all()}
    for name in groups:
        if (name in names) != (name in before):
            RoleRule.objects.update_or_create(group=groups[name], defaults={"second_factor": name in names})
    after = names & set(groups)
    if after != before:
        audit(actor, "require second factor", ", ".join(sorted(after)) or "nobody", before=sorted(before), after=sorted(after))


def is_second_factor_required(user: AbstractBaseUser) -> bool:
    return RoleRule.objects.filter(second_factor=True, group__user=user.pk).exists()


def what_log_in_lacks(user: AbstractBaseUser) -> str:
    """Returns what a session that showed no code lacks: "code" (the person has a second factor), "set-up" (the role
    needs one), or "" when the password was enough. One query."""
    has = SecondFactor.objects.filter(user_id=user.pk, confirmed=True).values_list(Value("code"))
    must = RoleRule.objects.filter(second_factor=True, group__user=user.pk).values_list(Value("set-up"))
    found = {row[0] for row in has.union(must)}
    return "code" if "code" in found else "set-up" if found else ""


def enrolment_picture(user: AbstractBaseUser, device: SecondFactor) -> SafeString:
    """Returns the QR code as SVG for a page: shapes only, no style, no script, and no text of anybody's."""
    from urllib.parse import quote, urlencode

    label = quote(f"{ISSUER}:{user.get_username()}", safe="")
    address = f"otpauth://totp/{label}?{urlencode({'secret': device.key_text, 'issuer': ISSUER, 'digits': 6, 'period': 30})}"
    drawn = segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", title="QR code", omitsize=False)
    return SafeString(drawn)


def people_with_second_factor() -> list[User]:
    return list(User.objects.filter(secondfactor__confirmed=True).order_by("username")[:200])


def _checked(user: AbstractBaseUser, code: str) -> SecondFactor:
    device = SecondFactor.objects.filter(user_id=user.pk, confirmed=True).first()
    if device is None:
        raise DecisionRefused("You have no second factor.")
    taken = verify_token(user, device.persistent_id, code)
    if taken is None:
        raise DecisionRefused(WRONG_CODE)
    return taken
