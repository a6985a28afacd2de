"""Which user of the CRM is which user of the peer (C34): found by equal e-mail in runs, or chosen here by staff."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from connectors.contract import Record
from reconciliation.engine.pair_reads import CRM_USER, PEER_USER
from reconciliation.engine.wiring import Wiring
from reconciliation.models import UserPair
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

UNMATCHED = Q(crm_user_id="") | Q(peer_user_id="")
LONGEST_ADDRESS = 254
_SIDES = {"crm": (CRM_USER, "Email", "Name"), "peer": (PEER_USER, "email", "username")}


def user_pairs() -> QuerySet[UserPair]:
    """Returns all that runs have met and staff have chosen, those without a counterpart first."""
    is_matched = Case(When(UNMATCHED, then=Value(0)), default=Value(1), output_field=IntegerField())
    return UserPair.objects.select_related("sync_pass__crm", "sync_pass__peer").order_by(is_matched, "crm_name", "peer_name", "pk")


def pair_choose(pair: UserPair, address: str, user: AbstractBaseUser, *, wiring: Wiring | None = None) -> UserPair:
    """Pairs a user with the one of the other system who has this e-mail address, and returns the pair; runs keep it until
    staff change it. Raises DecisionRefused where nobody, several, or somebody who is paired already has the address, and
    ConnectorError."""
    side = "peer" if pair.crm_user_id else "crm"
    found = _user_with(pair, side, address, wiring or Wiring())
    own = "crm" if side == "peer" else "peer"
    own_id = getattr(pair, f"{own}_user_id")
    name = str(found.fields.get(_SIDES[side][2]) or "")[:255]
    values = {f"{side}_user_id": found.ref.id, f"{side}_name": name, "how": UserPair.How.STAFF, "read_at": (wiring or Wiring()).now()}
    try:
        with transaction.atomic():
            rows = UserPair.objects.select_for_update().filter(sync_pass=pair.sync_pass)
            # A counterpart who was met alone has a row of their own, which this pair takes over.
            for other in rows.filter(**{f"{side}_user_id": found.ref.id}).exclude(pk=pair.pk):
                if getattr(other, f"{own}_user_id"):
                    who = getattr(other, f"{own}_name") or getattr(other, f"{own}_user_id")
                    raise DecisionRefused(f"{name or address} is paired with {who}. Give {who} another user first; nothing was saved.")
                other.delete()
            if not rows.filter(pk=pair.pk, **{f"{own}_user_id": own_id}).update(**values):
                raise DecisionRefused("This user was changed meanwhile. Look at the list again; nothing was saved.")
            audit(user, "pair users", pair.sync_pass.title, **{own: own_id, side: [getattr(pair, f"{side}_user_id"), found.ref.id]})
    except IntegrityError:  # a run paired them at the same moment
        raise DecisionRefused("A run paired one of the two just now. Look at the list again; nothing was saved.") from None
    return UserPair.objects.get(pk=pair.pk)


def pair_forget(pair: UserPair, user: AbstractBaseUser) -> None:
    """Takes a pair away, so that the next run that meets one of the two looks them up by e-mail again."""
    with transaction.atomic():
        audit(user, "forget user pair", pair.sync_pass.title, crm=pair.crm_user_id, peer=pair.peer_user_id, how=pair.how)
        pair.delete()


def _user_with(pair: UserPair, side: str, address: str, wiring: Wiring) -> Record:
    """Returns the one user of that side with this e-mail address. Raises DecisionRefused, ConnectorError."""
    mail = address.strip()
    if "@" not in mail or len(mail) > LONGEST_ADDRESS:
        raise DecisionRefused("Type the e-mail address of the user. Nothing was saved.")
    connection = getattr(pair.sync_pass, side)
    object_type, field, name = _SIDES[side]
    connector = wiring.open_connector(connection)
    try:
        met = connector.find(object_type, field, sorted({mail, mail.casefold()}), [field, name])
    finally:
        connector.close()
    found = {record.ref.id: record for record in met if str(record.fields.get(field) or "").casefold() == mail.casefold()}
    if len(found) != 1:
        said = "has no user" if not found else f"has {len(found)} users"
        raise DecisionRefused(f"{connection.name} {said} with the address {mail}. Nothing was saved.")
    return next(iter(found.values()))
