"""What holds for the links of one run: settings, address rules and the acting user, read from our rows once a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from reconciliation.core.address_rules import SiteAddresses
from reconciliation.core.addresses import domain_of
from reconciliation.core.autoresolve import Mode, ResolveSettings
from reconciliation.core.blocklists import Blocklist
from reconciliation.core.domains import DomainRules, is_free_mail, registrable
from reconciliation.core.linking_facts import LinkSettings, Trigger, User
from reconciliation.core.mailbox_settings import Effective
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.models import BlockedAddress, Mailbox, OwnDomain, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES

LINKING = "linking"  # in the settings of the pass over mailboxes: what only an admin says, and most never need
MOST_MADE_A_DAY = 200  # people, for one mailbox; the rest waits for a person on *Unresolved people*
EMAIL = ("Email",)
SHARED = "EventWhoIds"  # a field of organisations with Shared Activities only; what is kept of a description says whether it is there
TRIGGERS = {"resolve_shared": Trigger.USER, "resolve_calendar": Trigger.CALENDAR, "resolve_auto_saved": Trigger.AUTO_SAVE}


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """What holds for a run. `region` is the site's country in two letters, "" where nobody said it: numbers without a country are
    uncertain then. `email_fields` are the fields of contacts and leads that hold addresses. `most_made` people are made for one
    mailbox in 24 hours."""

    links: LinkSettings = LinkSettings()
    resolve: ResolveSettings = ResolveSettings()
    rules: SiteAddresses = SiteAddresses()
    user: User = User("")
    region: str = ""
    email_fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"Contact": EMAIL, "Lead": EMAIL})
    most_made: int = MOST_MADE_A_DAY
    person_record_type: str = ""  # of the Person Accounts that are made, where the organisation has several


def settings_pass(sync_pass: SyncPass) -> SyncPass:
    """Returns the pass with which stands what people set for all mailboxes: one for all passes over them."""
    if sync_pass.whole.name == MAILBOX_PASSES[0]:
        return sync_pass.whole
    return SyncPass.objects.whole().filter(name=MAILBOX_PASSES[0]).first() or sync_pass.whole


def terms_of(sync_pass: SyncPass, mailbox: Mailbox | None) -> LinkTerms:
    """Returns what holds for the links of a run over this mailbox, as it stands now. A mailbox's domain becomes one of our own with
    its first run."""
    own = own_domains() | _learnt_domain(mailbox)
    shared = settings_pass(sync_pass)
    held = effective_of(shared, mailbox or Mailbox())
    event = (sync_pass.crm.schema_cache or {}).get("Event")
    more: Mapping[str, Any] = shared.settings.get(LINKING) or {}
    given = more.get("email_fields") or {}
    return LinkTerms(
        links=link_settings(held, has_shared_activities=event is None or SHARED in event),
        resolve=resolve_settings(held),
        rules=SiteAddresses(DomainRules(own=own, blocklist=blocklist_of(mailbox))),
        user=user_of(mailbox),
        region=str(more.get("region") or ""),
        email_fields={kind: tuple(dict.fromkeys((*EMAIL, *(given.get(kind) or ())))) for kind in ("Contact", "Lead")},
        most_made=int(more.get("most_made") or MOST_MADE_A_DAY),
        person_record_type=str(more.get("person_record_type") or ""),
    )


def link_settings(held: Mapping[str, Effective], *, has_shared_activities: bool = True) -> LinkSettings:
    return LinkSettings(
        link_opportunity=held["link_opportunity"].value,
        shared_activities=held["shared_activities"].value and has_shared_activities,
        include_internal=held["include_internal"].value,
        account_by_domain=held["account_by_domain"].value,
        save_without_relation=held["save_without_relation"].value,
    )


def resolve_settings(held: Mapping[str, Effective]) -> ResolveSettings:
    return ResolveSettings(
        mode=Mode(held["resolve_mode"].value),
        smart=held["resolve_smart"].value,
        all_recipients=held["resolve_all_recipients"].value,
        create_accounts=held["make_accounts"].value,
        company_from_domain=held["company_from_domain"].value,
        triggers=frozenset(trigger for name, trigger in TRIGGERS.items() if held[name].value),
    )


def user_of(mailbox: Mailbox | None) -> User:
    return User(mailbox.crm_user_id, (mailbox.address,)) if mailbox is not None else User("")


def rules_of(mailbox: Mailbox | None) -> SiteAddresses:
    """Returns what is known of addresses for one user: the own domains, and the blocklists of the organisation and of the user."""
    return SiteAddresses(DomainRules(own=own_domains(), blocklist=blocklist_of(mailbox)))


def _learnt_domain(mailbox: Mailbox | None) -> frozenset[str]:
    """Adds the domain of a mailbox to our own, unless it is known, or gives addresses to anybody; returns it where it is new."""
    domain = domain_of(mailbox.address) if mailbox is not None else ""
    if not registrable(domain) or is_free_mail(domain) or OwnDomain.objects.filter(domain=domain).exists():
        return frozenset()
    values = {"source": OwnDomain.Source.MAILBOXES, "at": timezone.now()}
    OwnDomain.objects.get_or_create(domain=domain, defaults=values)
    return frozenset({domain})


def own_domains() -> frozenset[str]:
    return frozenset(OwnDomain.objects.filter(is_on=True).values_list("domain", flat=True))


def blocklist_of(mailbox: Mailbox | None) -> Blocklist:
    whose = Q(mailbox=None) | Q(mailbox=mailbox) if mailbox is not None and mailbox.pk else Q(mailbox=None)
    rows = list(BlockedAddress.objects.filter(whose, removed_at=None).values_list("entry", "mailbox_id"))
    organisation = frozenset(entry for entry, owner in rows if owner is None)
    return Blocklist(organisation, frozenset(entry for entry, owner in rows if owner is not None))
