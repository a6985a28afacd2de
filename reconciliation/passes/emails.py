"""Seed 004: an e-mail that a mailbox shares is saved in the CRM, one way, once for the whole organisation (S4.19, S4.20).

Pure. `why_shared` says why a mail is to be saved, or why not; `write_of` what the CRM holds of it. What happens to it afterwards
in the mailbox, and deletions on either side, change nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from connectors import mails as words
from connectors.calendars import HIDDEN
from connectors.contract import Fields, Record, Ref, Value
from connectors.mails import Attachment, Correspondent, WholeMail, people_of
from reconciliation.core.address_rules import SiteAddresses
from reconciliation.core.addresses import normalise_address
from reconciliation.core.counting import bent, counted
from reconciliation.core.domains import corporate_domain, is_free_mail
from reconciliation.core.html_text import html_to_text
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import BOTH_WAYS, INCOMING, MARKED_ONLY, NO_BODY, OUTGOING, SKIP, TEXT_ONLY
from reconciliation.core.operations import Decision, Intent
from reconciliation.passes.activities import day_of
from reconciliation.passes.pairs import marker_of

MAIL, CRM_EMAIL, CRM_TASK = words.MAIL, "EmailMessage", "Task"
FOLDER, CATEGORY = "Salesforce Emails", "Salesforce"
BY_CATEGORY, BY_FOLDER, BY_THREAD, BY_ITSELF, BY_PERSON = "category", "folder", "thread", "auto", "person"  # why a mail is saved
BY_A_PERSON = (BY_CATEGORY, BY_FOLDER, BY_PERSON)
WHY_WORDS = {
    BY_CATEGORY: f"It has the category “{CATEGORY}”.",
    BY_FOLDER: f"It lies in the folder “{FOLDER}”.",
    BY_THREAD: "Its conversation is followed.",
    BY_ITSELF: "New e-mails are shared by themselves.",
    BY_PERSON: "A person pressed “Save now”.",
}
PEOPLE, LEFT_OUT = "People", "LeftOut"  # as the connector of Salesforce calls them
ROLES = {"from": "FromAddress", "to": "ToAddress", "cc": "CcAddress", "bcc": "BccAddress"}
# Characters that Salesforce takes (reference 13.8, 13.9).
LONGEST = {
    CRM_EMAIL: {
        **{"Subject": 3000, "FromName": 1000, "FromAddress": 1000, "ToAddress": 4000, "CcAddress": 4000, "BccAddress": 4000},
        **{"TextBody": 32_000, "HtmlBody": 131_072, "MessageIdentifier": 765, "ThreadIdentifier": 765},
    },
    CRM_TASK: {"Subject": 255, "Description": 32_000},
}
BODIES = ("TextBody", "HtmlBody", "Description")
NOT_SHARED = "not_shared"
CUT = "…"
FIRST_BYTES = 1000  # of a mail without Message-ID (engine-rules 40)
MOST_FILES = 25
MOST_NAMED = 3
MOST_RELATED = 50
_DAMAGED = re.compile("[\0\ud800-\udfff\ufffd]")
_BROKEN = re.compile("[\0\ud800-\udfff]")


class State(StrEnum):
    """What we remember of an e-mail."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    REFUSED = "refused"
    SAVED = "saved"
    DELETED = "deleted"
    TAKEN_BACK = "taken_back"


@dataclass(frozen=True, slots=True)
class Known:
    """What became of an e-mail so far. `is_bound`: this very copy was counted for it; `holder` is the mailbox that saved it, or is
    saving it."""

    state: State
    is_bound: bool = False
    is_own_claim: bool = False
    holder: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a mail is not saved: the reason as it is counted, and a sentence."""

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class EmailTerms:
    """What holds for a whole run over one mailbox. `begins_at`: what was sent or received before is saved only if it is marked
    (D27); `shares_all_from`: since when everything is shared by itself, None where it is not. `threads`: those that are followed,
    and since when. `rules` know the own domains and the blocklists that hold for the mailbox's user."""

    begins_at: datetime
    database: str
    address: str
    crm_name: str = "Salesforce"
    user_id: str = ""
    object_type: str = CRM_EMAIL
    rules: SiteAddresses = SiteAddresses()
    shares_all_from: datetime | None = None
    direction: str = BOTH_WAYS
    threads: Mapping[str, datetime] = field(default_factory=dict)
    private: str = SKIP
    bodies: str = ""
    most_bytes: int = 0  # of a file; 0: files are left in the mailbox
    statuses: tuple[str, str] = ("1", "3")  # of an e-mail that came in, and one that went out
    zone: str = ""
    longest: Mapping[str, int] = field(default_factory=dict)
    is_restored: bool = False  # our database was put back from a backup: it may have forgotten what was saved

    @property
    def scope(self) -> str:
        return self.address


def replace_zone(terms: EmailTerms, zone: str) -> EmailTerms:
    """Returns the terms with the zone in which a task has its day."""
    return replace(terms, zone=zone)


@dataclass(frozen=True, slots=True)
class EmailDecision(Decision):
    """What was decided for one mail. `key` names the e-mail in the whole organisation, `why` says why it is saved; `crm_id` is what
    stands for it in the CRM."""

    key: str = ""
    why: str = ""
    by: str = ""
    name: str = ""
    crm_id: str = ""
    links: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What is sent for one e-mail: `fields` stand in the journal, `unstored` and `files` nowhere. `left_out` says what of it the CRM
    does not get, a sentence each."""

    fields: Fields
    unstored: Fields = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()
    digests: Mapping[str, Any] = field(default_factory=dict)


# --- which mail it is -----------------------------------------------------------------------------------------------------


def needs_text(mail: Record) -> bool:
    """Tells whether a mail can be told from others only by what it says: it has no Message-ID."""
    return not _plain_id(mail)


def key_of(mail: Record, text: str = "") -> str:
    """Returns what an e-mail is called in every mailbox that holds it: the digest of its Message-ID, else of what it is from, of, and
    about, and of how it begins (engine-rules 40)."""
    if not needs_text(mail):
        return hashlib.sha256(_plain_id(mail).encode("utf-8", "replace")).hexdigest()
    sender = next((normalise_address(p.address) or p.address for p in people_of(mail, words.FROM)), "")
    at = mail.fields.get(words.SENT_AT) or mail.fields.get(words.RECEIVED_AT)
    parts = (sender, at.isoformat() if isinstance(at, datetime) else "", _text(mail, words.SUBJECT))
    first = " ".join(text.split()).encode("utf-8", "replace")[:FIRST_BYTES]
    return hashlib.sha256(b"\0".join([*(p.encode("utf-8", "replace") for p in parts), first])).hexdigest()


def identifier_of(mail: Record, key: str) -> str:
    """Returns what the CRM knows the e-mail by: its Message-ID, or one of ours for a mail that has none, or one that is too long."""
    own = _DAMAGED.sub("", _plain_id(mail))
    if len(own) + 2 > LONGEST[CRM_EMAIL]["MessageIdentifier"]:  # two that are cut would be one
        return f"<{key[:40]}@long-message-id.invalid>"
    return f"<{own}>" if own else f"<{key[:40]}@no-message-id.invalid>"


def _plain_id(mail: Record) -> str:
    return _text(mail, words.MESSAGE_ID).strip().strip("<>").strip()


# --- why it is saved, or not ------------------------------------------------------------------------------------------------


def why_shared(mail: Record, terms: EmailTerms, *, by_person: bool = False) -> str | LeftOut:
    """Returns why a mail is saved, or why it is left where it is. What a person marked is saved in more cases than what nobody
    asked for (S4.37, C21)."""
    if mail.fields.get(words.IS_DRAFT) is True or mail.fields.get(words.FOLDER) == words.DRAFTS:
        return LeftOut("draft", "It is a draft; if it is marked still, it is saved after it was sent.")
    if mail.fields.get(words.FOLDER) == words.BIN:
        return LeftOut("in_bin", "It lies in Deleted Items.")
    if mail.fields.get(words.FOLDER) == words.JUNK and not by_person:
        return LeftOut("junk", "It lies in the junk folder.")
    if mail.fields.get(words.IS_MEETING_MESSAGE) is True:
        return LeftOut("meeting_message", "It is an invitation, or an answer to one: meetings are events.")
    marked = BY_PERSON if by_person else _mark_of(mail)
    if mail.fields.get(words.SENSITIVITY) in HIDDEN and not by_person and not (marked and terms.private == MARKED_ONLY):
        return LeftOut("private", "Its sender called it private or confidential.")
    return marked or _unasked(mail, terms)


def _mark_of(mail: Record) -> str:
    shared_by = mail.fields.get(words.SHARED_BY)
    return BY_CATEGORY if shared_by == words.BY_CATEGORY else BY_FOLDER if shared_by == words.BY_FOLDER else ""


def _unasked(mail: Record, terms: EmailTerms) -> str | LeftOut:
    """Returns why a mail that nobody marked is saved, or why not."""
    at = when_of(mail)
    ways = ((BY_THREAD, terms.threads.get(_text(mail, words.THREAD))), (BY_ITSELF, terms.shares_all_from))
    begun = [(why, max(since, terms.begins_at)) for why, since in ways if since is not None]
    if not begun:
        return LeftOut(NOT_SHARED, "Nobody marked it.")
    # A conversation that is followed since today takes nothing from what everything is shared since yesterday.
    why = next((why for why, since in begun if at is not None and at >= since), "")
    if not why:
        return LeftOut("before_activation", "It is older than the moment from which new e-mails are saved by themselves.")
    wrong_way = {INCOMING: is_outgoing(mail), OUTGOING: not is_outgoing(mail)}.get(terms.direction, False)
    if why == BY_ITSELF and wrong_way:
        return LeftOut("direction", f"Only {terms.direction} e-mails are shared by themselves.")
    if mail.fields.get(words.IS_AUTOMATIC) is True:
        return LeftOut("automatic", "A machine sent it: a notice, a bounce or a list.")
    return _of_its_parties(mail, terms) or why


def _of_its_parties(mail: Record, terms: EmailTerms) -> LeftOut | None:
    """Returns why nobody in a mail lets it be saved by itself, None where somebody does (S4.37)."""
    others = [key for p in parties_of(mail) if (key := terms.rules.key(p.address)) and not _is_own(key, terms)]
    if not others:
        return LeftOut("between_colleagues", "Nobody from outside stands in it.")
    if all(terms.rules.blocks(key) for key in others):
        return LeftOut("blocked", "All its other parties are blocked.")
    return None


def _is_own(key: str, terms: EmailTerms) -> bool:
    """Tells whether an address is the mailbox's or a colleague's."""
    own = corporate_domain(terms.address)
    is_of_same_company = bool(own) and not is_free_mail(own) and corporate_domain(key) == own
    return key == terms.rules.key(terms.address) or is_of_same_company or terms.rules.is_internal(key)


def parties_of(mail: Record) -> tuple[Correspondent, ...]:
    """Returns everybody in a mail, each once."""
    everybody = {p.text: p for name in (words.FROM, words.TO, words.CC, words.BCC) for p in people_of(mail, name)}
    return tuple(everybody.values())


def is_outgoing(mail: Record) -> bool:
    return mail.fields.get(words.IS_OUTGOING) is True


def when_of(mail: Record) -> datetime | None:
    """Returns when a mail was sent, or came in."""
    order = (words.SENT_AT, words.RECEIVED_AT) if is_outgoing(mail) else (words.RECEIVED_AT, words.SENT_AT)
    return next((at for name in order if isinstance(at := mail.fields.get(name), datetime)), None)


def name_of(mail: Record) -> str:
    """Returns what people call a mail: its subject."""
    return " ".join(_DAMAGED.sub("", _text(mail, words.SUBJECT)).split())[:255]


# --- deciding ---------------------------------------------------------------------------------------------------------------


def decided(mail: Record, outcome: Outcome, reason: str, sentence: str, **more: Any) -> EmailDecision:
    return EmailDecision(mail, outcome, reason, sentence, name=name_of(mail), **more)


def left_out(mail: Record, because: LeftOut, /, **more: Any) -> EmailDecision:
    return decided(mail, Outcome.EXCLUDED, because.reason, because.sentence, **more)


def held(mail: Record, reason: str, sentence: str, **more: Any) -> EmailDecision:
    """Returns the decision of a mail that is not lost: it is looked at again."""
    return decided(mail, Outcome.HELD, reason, sentence, **more)


def remembered(mail: Record, known: Known, terms: EmailTerms, **more: Any) -> EmailDecision | None:
    """Returns the decision about a mail whose e-mail is known, None where it is still to be saved."""
    if known.state is State.SAVED:
        if known.is_bound:
            return decided(mail, Outcome.UNCHANGED, "echo", f"It is in {terms.crm_name}.", **more)
        by = f", saved from {known.holder}" if known.holder and known.holder != terms.address else ""
        return decided(mail, Outcome.UNCHANGED, "there_already", f"It is in {terms.crm_name} already{by}; it is there once.", **more)
    if known.state is State.DELETED:
        return decided(mail, Outcome.EXCLUDED, "deleted_in_crm", f"It was deleted in {terms.crm_name}; it is not made again.", **more)
    if known.state is State.TAKEN_BACK:
        return decided(mail, Outcome.EXCLUDED, "taken_back", "A person took it back; it is not made again.", **more)
    if known.state is State.REFUSED:
        return held(mail, "case_open", "It was refused; it waits for a person in Errors.", **more)
    if known.state is State.CLAIMED and not known.is_own_claim:
        return held(mail, "other_mailbox", f"{known.holder or 'Another mailbox'} is saving the same e-mail just now.", **more)
    return None


def decide(
    whole: WholeMail, key: str, why: str, made: Made, terms: EmailTerms, *, links: Mapping[str, Any], by: str = "", draft: str = ""
) -> EmailDecision:
    """Returns the decision that saves an e-mail, or finishes the `draft` that a run left behind. Its files are added when its turn
    comes: they are large."""
    mail, reason = whole.record, WHY_WORDS[why]
    intent = Intent(
        "create",
        "crm",
        terms.object_type,
        str(Ref("mail", "message", key)),  # the same in every mailbox: there is one open write of it
        made.fields,
        target_id=draft,
        marker=marker_of(terms.database, Ref("mail", MAIL, key)),
        reason=reason,
        origin={"name": name_of(mail), "mail": str(mail.ref), "mailbox": terms.address, **made.digests},
        unstored=made.unstored,
    )
    sentence = f"{reason} {saved_with(links, terms)}"
    more: dict[str, Any] = {"key": key, "why": why, "by": by, "links": links, "left_out": made.left_out, "warnings": made.left_out}
    return decided(mail, Outcome.CREATED, "created", sentence, intent=intent, **more)


def saved_with(links: Mapping[str, Any], terms: EmailTerms) -> str:
    """Returns whom and what an e-mail is linked to, in a sentence."""
    named = [str(links[name]) for name in ("who", "what") if links.get(name)]
    return f"It is linked to {' and '.join(named)}." if named else f"It is linked to nobody in {terms.crm_name}."


# --- what the CRM holds -----------------------------------------------------------------------------------------------------


def write_of(whole: WholeMail, key: str, links: Mapping[str, Any], terms: EmailTerms, left_in_mailbox: Sequence[str] = ()) -> Made:
    """Returns what is sent of an e-mail. What is too long is cut, or left out where it cannot be cut, and that is said; so is a text
    that was damaged on its way (engine-rules 5). `left_in_mailbox` says which files stay there."""
    if terms.object_type == CRM_TASK:
        made, said = _task(whole, links, terms)
    else:
        made, said = _email(whole, key, links, terms)
    unstored = {name: value for name, value in made.items() if name in BODIES}
    fields = {name: value for name, value in made.items() if name not in BODIES}
    return Made(fields, unstored, (*said, *left_in_mailbox), {"bodies": {name: _digest(str(text)) for name, text in unstored.items()}})


def _digest(text: str) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), "characters": len(text)}


def _email(whole: WholeMail, key: str, links: Mapping[str, Any], terms: EmailTerms) -> tuple[dict[str, Value], tuple[str, ...]]:
    mail, said = whole.record, list[str]()
    sender = next(iter(people_of(mail, words.FROM)), Correspondent(""))
    values: dict[str, Value] = {
        "Subject": _subject(mail, said),
        "FromAddress": _DAMAGED.sub("", sender.address),
        "FromName": _DAMAGED.sub("", sender.name),
        **{field: _addresses(mail, name, field, terms, said) for name, field in ((words.TO, "ToAddress"), (words.CC, "CcAddress"))},
        "BccAddress": _addresses(mail, words.BCC, "BccAddress", terms, said),
        "MessageIdentifier": identifier_of(mail, key),
        "ThreadIdentifier": _thread_of(mail, key),
    }
    fitted = {name: _fitted(name, str(value), terms, said) for name, value in values.items() if value}
    more: dict[str, Value] = {"Incoming": not is_outgoing(mail), "Status": terms.statuses[is_outgoing(mail)]}
    at, what, related = when_of(mail), links.get("what"), _relations(links)
    more |= {"MessageDate": at} if at is not None else {}
    more |= {"RelatedToId": str(what)} if what else {}
    more |= {PEOPLE: related} if related else {}
    return {**fitted, **more, **_bodies(whole, terms, said)}, tuple(said)


def _relations(links: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns who an e-mail is related to, as the connector takes it; whoever a person chose, and stands in no line of it, is related
    as a recipient."""
    found = links.get("found") or ()
    rows = [f"{ROLES.get(str(each.get('role')), 'ToAddress')};{each['id']}" for each in found if each.get("id")]
    return tuple(dict.fromkeys(rows))[:MOST_RELATED]


def _thread_of(mail: Record, key: str) -> str:
    """Returns what all e-mails of a conversation share, in whichever mailbox they lie: the first that they refer to."""
    named = mail.fields.get(words.REFERENCES)
    first = named[0] if isinstance(named, tuple) and named else _text(mail, words.IN_REPLY_TO)
    bare = _DAMAGED.sub("", first.strip().strip("<>"))
    return f"<{bare}>" if bare else identifier_of(mail, key)


def _subject(mail: Record, said: list[str]) -> str:
    subject = _text(mail, words.SUBJECT)
    if words.SUBJECT in mail.damaged or _BROKEN.search(subject):
        said.append("The subject holds characters that no system can store, and was left out")
        return ""
    return subject


def _addresses(mail: Record, name: str, field: str, terms: EmailTerms, said: list[str]) -> str:
    """Returns the addresses of a line, as many as the CRM has room for: none is cut in two."""
    addresses = [address for p in people_of(mail, name) if (address := _DAMAGED.sub("", p.address))]
    most, kept, size = _most(field, terms), list[str](), 0
    for address in addresses:
        size += len(address) + 2
        if size - 2 > most:
            break
        kept.append(address)
    if len(kept) < len(addresses):
        left = len(addresses) - len(kept)
        said.append(f"{field} has room for {counted(len(kept), 'address', 'addresses')}; {left:,} more {bent(left, 'is', 'are')} left out")
    return "; ".join(kept)


def _bodies(whole: WholeMail, terms: EmailTerms, said: list[str]) -> dict[str, Value]:
    if terms.bodies == NO_BODY:
        return {}
    text = _text_of(whole, said)
    bodies: dict[str, Value] = {"TextBody": _fitted("TextBody", text, terms, said)} if text else {}
    html = whole.html
    if not html or terms.bodies == TEXT_ONLY:
        return bodies
    if _BROKEN.search(html):
        said.append("The HTML holds characters that no system can store, and was left out")
    elif len(html) > _most("HtmlBody", terms):  # what is cut from HTML may be the end of a tag
        said.append(f"The HTML was left out: it has more than the {_most('HtmlBody', terms):,} characters that fit; its text is there")
    else:
        bodies["HtmlBody"] = html
    return bodies


def _text_of(whole: WholeMail, said: list[str]) -> str:
    text = whole.text or (html_to_text(whole.html) if whole.html else "")
    if _BROKEN.search(text):
        said.append("The text holds characters that no system can store, and was left out")
        return ""
    return text


def without_excess(whole: WholeMail, terms: EmailTerms) -> WholeMail:
    """Returns a mail with as much of its text as the CRM can take and a bit more: who wants to fill our memory sends long mails. What
    is to be cut is seen to be too long still."""
    text = _text_of(whole, []) if not whole.text else whole.text
    bodies = [name for name in BODIES if name in LONGEST[terms.object_type]]
    most = max(_most(name, terms) for name in bodies) + 1
    most_text = max(_most(name, terms) for name in bodies if name != "HtmlBody") + 1
    return replace(whole, text=text[:most_text], html=whole.html[:most], newest=whole.newest[:most])


def text_to_read(whole: WholeMail) -> str:
    """Returns the part of a mail in which its writer's signature is looked for."""
    return whole.newest or whole.text or whole.html


def _task(whole: WholeMail, links: Mapping[str, Any], terms: EmailTerms) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Returns the completed task that stands for an e-mail where the CRM keeps none (reference 13.8)."""
    mail, said = whole.record, list[str]()
    subject = " ".join(_subject(mail, said).split())
    title = f"Email: {subject}" if subject else "Email without a subject"
    lines = [f"{title}: {_all_of(mail, name)}" for name, title in _LINES if people_of(mail, name)]
    at = when_of(mail)
    lines += [f"Date: {at:%Y-%m-%d %H:%M} UTC"] if at is not None else []
    text = _text_of(whole, said) if terms.bodies != NO_BODY else ""
    description = "\n".join(lines) + (f"\n\n{text}" if text else "")
    who, what = links.get("who"), links.get("what")
    values: dict[str, Value] = {
        "Subject": _fitted("Subject", title, terms, said),
        "Status": "Completed",
        "Priority": "Normal",
        "TaskSubtype": "Email",
        "Description": _fitted("Description", description, terms, said),
        **({"ActivityDate": day_of(at, terms.zone)} if at is not None else {}),
        **({"WhoId": str(who)} if who else {}),
        **({"WhatId": str(what)} if what else {}),
        **({"OwnerId": terms.user_id} if terms.user_id else {}),
    }
    return values, tuple(said)


_LINES = ((words.FROM, "From"), (words.TO, "To"), (words.CC, "Cc"), (words.BCC, "Bcc"))


def _all_of(mail: Record, name: str) -> str:
    return ", ".join(_DAMAGED.sub("", f"{p.name} <{p.address}>" if p.name else p.address) for p in people_of(mail, name))[:4000]


def _most(name: str, terms: EmailTerms) -> int:
    return terms.longest.get(name) or LONGEST[terms.object_type].get(name, 0) or LONGEST[CRM_EMAIL][name]


def _fitted(name: str, text: str, terms: EmailTerms, said: list[str]) -> str:
    most = _most(name, terms)
    if len(text) <= most:
        return text
    said.append(f"{name} was cut: {most:,} characters fit; the rest is in the mailbox only")
    return text[: most - len(CUT)] + CUT


def _text(mail: Record, name: str) -> str:
    value = mail.fields.get(name)
    return value if isinstance(value, str) else ""


# --- files ------------------------------------------------------------------------------------------------------------------


def files_of(whole: WholeMail, terms: EmailTerms) -> tuple[tuple[Attachment, ...], tuple[str, ...]]:
    """Returns the files that are saved with an e-mail, and sentences about those that stay in the mailbox."""
    files = [a for a in whole.attachments if a.is_file and not a.is_inline]
    others = [a for a in whole.attachments if not a.is_file and not a.is_inline]
    said = [f"{_named(others)} stays in the mailbox: it is a mail or a link"] if others else []
    if not files:
        return (), tuple(said)
    if not terms.most_bytes or terms.object_type != CRM_EMAIL:
        return (), (f"{_named(files)} {bent(len(files), 'stays', 'stay')} in the mailbox: files are not saved, by setting", *said)
    large = [a for a in files if a.size > terms.most_bytes]
    fitting = [a for a in files if a.size <= terms.most_bytes]
    if large:
        said.append(f"{_named(large)} {bent(len(large), 'stays', 'stay')} in the mailbox: larger than {in_megabytes(terms.most_bytes)}")
    if len(fitting) > MOST_FILES:
        said.append(f"{_named(fitting[MOST_FILES:])} stay in the mailbox: an e-mail is saved with {MOST_FILES} files")
    return tuple(fitting[:MOST_FILES]), tuple(said)


def in_megabytes(size: int) -> str:
    return f"{size / 1_000_000:g} MB"


def _named(files: Sequence[Attachment]) -> str:
    shown = ", ".join(f"“{a.name[:60] or 'file'}”" for a in files[:MOST_NAMED])
    return shown + (f" and {len(files) - MOST_NAMED:,} more" if len(files) > MOST_NAMED else "")
