"""The lines of a mail that are its sender's signature: behind "-- ", a sign-off, or the sender's own name at the end. Pure.

Footers - invitations to online meetings with their dial-in numbers, disclaimers, "Sent from my phone" - are cut off first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reconciliation.core.addresses import is_shared_mailbox, normalise_address
from reconciliation.core.person_names import fold, is_person_like, is_same_person, spellings_of, without_titles, words_of
from reconciliation.core.signature_words import LEGAL_FORM, SIGN_OFFS, TITLE_ENDINGS, TITLES, TITLES_EAST

MOST_LINES = 60  # at the end of the newest part that are looked at
LONGEST_BLOCK = 18
MOST_SIGN_OFFS = 3
NAME_WITHIN = 15
_DELIMITER = re.compile(r"^\s?--\s?$|^[_\-=*~—–]{2,200}$")
_FOOTER = re.compile(
    r"^\W{0,3}(?:sent from|sent with|sent via|get outlook|von meinem|gesendet (?:von|mit)|envoyé (?:de|depuis)|obtenir outlook|"
    r"enviado desde|enviado do|"
    r"inviato da|verzonden (?:vanaf|met)|skickat från|sendt fra|lähetetty|wysłane z|odesláno z|iphoneから送信|"
    r"(?:microsoft )?teams[- ](?:meeting|besprechung)|microsoft teams|join (?:zoom|on your|with|the|by|via|microsoft|from)|zoom meeting|"
    r"an der besprechung teilnehmen|rejoindre la réunion|unirse a la reunión|partecipa alla riunione|deelnemen aan|"
    r"dial[- ]?in|dial by|one tap|or call in|meeting id|besprechungs-?id|id de (?:la )?réunion|conference id|phone conference|webex|"
    r"think before you print|please consider the environment|pensez à l.environnement|bitte denken sie an die umwelt|"
    r"unsubscribe|abmelden|p\.?\s?s\.?\s?[:.\s]|ps:|"
    r"confidentiality|disclaimer|legal notice|haftungsausschluss|aviso legal|avvertenze|note:|notice:|important:|wichtiger hinweis)",
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(
    r"\b(?:this (?:e-?mail|message|communication)|the (?:information|contents?) (?:contained )?(?:in|of) this|diese (?:e-?mail|nachricht)|"
    r"der inhalt dieser|ce (?:message|courriel|mail)|cet e-?mail|este (?:mensaje|correo|e-?mail)|esta mensagem|il presente messaggio|"
    r"questo messaggio|le informazioni contenute|dit (?:bericht|e-?mail)|deze e-?mail|detta (?:meddelande|mejl)|denne (?:e-?mail|e-?post)|"
    r"niniejsza wiadomość|ta wiadomość|tato zpráva|tämä (?:viesti|sähköposti)|本メール|このメール|if you (?:have received|"
    r"are not the intended))\b",
    re.IGNORECASE,
)
_NEWSLETTER = re.compile(
    r"(?i)\bunsubscribe\b|view (?:it |this (?:e-?mail )?)?in (?:your )?browser|newsletter abbestellen|se désabonner|"
    r"darse de baja|cancelar suscripción|manage (?:your )?(?:preferences|subscription)|you (?:receive|are receiving|received) this"
)
_ADDRESS = re.compile(r"[\w.+'\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,6}")
# What text bodies write for links and pictures: "www.acme.example<http://www.acme.example/>", "[cid:image001.png@01D5]".
_LINKS = re.compile(r"<(?:https?|mailto|tel):[^<>]{0,400}>|\[(?:cid|image|https?):[^\[\]]{0,400}\]|\[(?:logo|image|bild)\]", re.IGNORECASE)
_FOR_SOMEBODY = re.compile(
    r"(?i)^(?:p\.? ?p\.?|on behalf of|for|im auftrag von|i\. ?a\. von|pour|por|p\.o\.|per conto di|namens|assistant to|pa to)\s+"
)
SEPARATOR = re.compile(r"\s*[|•·●◦▪⏐│┃;\t]\s*|\s+[-–—/~]\s+|\s{3,}")
_AFTER_NAME = re.compile(r"\s*(?:[|•·●▪│;\t,(–—/]|\s-\s|\s{2,})\s*")


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose mail it is: the name as far as the sender's field says one, "" for none, and the address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of a signature; "" stands for blank ones between them. `anchor` is what it was found by. `name_at` is the line
    with the sender's name, -1 where none has it; what stands there beside the name is `beside_name`. `against` says why nothing
    in it may be used, "" where something may."""

    lines: tuple[str, ...]
    anchor: str
    name_at: int = -1
    beside_name: str = ""
    full_name: str = ""
    languages: frozenset[str] = frozenset()
    against: str = ""
    is_newsletter: bool = False

    @property
    def is_confirmed(self) -> bool:
        return self.name_at >= 0 and not self.against


NOTHING = Block((), "")


def find_block(lines: Sequence[str], sender: Sender) -> Block:
    """Returns the signature among the lines of the newest part of a mail, `NOTHING` where there is none."""
    if any(_NEWSLETTER.search(line) for line in lines):
        return Block((), "", against="It is a newsletter.", is_newsletter=True)
    kept = without_footers([_LINKS.sub(" ", line).rstrip() for line in lines])[-MOST_LINES:]
    ends = [n for n in range(len(kept) - 1, -1, -1) if sign_off_languages(kept[n]) is not None]
    for n in ends[:MOST_SIGN_OFFS]:  # "Have a great day!" may stand below the signature
        found = _block([*_behind_sign_off(kept[n], sender), *kept[n + 1 :]], sender, "sign-off", sign_off_languages(kept[n]) or frozenset())
        if found.lines:
            return found
    delimiter = next((n for n in range(len(kept) - 1, -1, -1) if re.fullmatch(r"\s?--\s?", kept[n])), -1)
    if delimiter >= 0:
        return _block(kept[delimiter + 1 :], sender, "delimiter", frozenset())
    return _by_name(kept, sender)


def _behind_sign_off(line: str, sender: Sender) -> list[str]:
    """Returns the sender's name behind the comma of "Kind regards, Rachel Morgan", nothing where none stands there."""
    rest = line.partition(",")[2].strip()
    return [rest] if rest and beside(rest, sender) is not None else []


def without_footers(lines: Sequence[str]) -> list[str]:
    """Returns the lines down to the first that begins a footer; one at the very top (a warning of a mail server) is left out."""
    kept: list[str] = []
    for line in lines:
        if _FOOTER.match(line) or _DISCLAIMER.search(line):
            if any(word.strip() for word in kept):
                break
            continue
        kept.append(line)
    while kept and (not kept[-1].strip() or _DELIMITER.match(kept[-1])):
        kept.pop()
    return kept


def sign_off_languages(line: str) -> frozenset[str] | None:
    """Returns the languages in which a line ends a mail ("Kind regards", "Groeten, Pieter"), None where it does not."""
    if not line.strip() or len(line) > 90:
        return None
    plain = fold(line).strip(" ,.!;:-–—*_~。、")
    for part in (plain, *(piece.strip(" ,.!") for piece in re.split(r"\s/\s|,", plain)[:2])):
        if part in SIGN_OFFS:
            return SIGN_OFFS[part]
    words = plain.split()
    for count in range(min(len(words) - 1, 5), 1, -1):
        phrase = " ".join(words[:count])
        if phrase in SIGN_OFFS and len(words) - count <= 4 and phrase not in ("thank you", "merci et", "vielen dank"):
            return SIGN_OFFS[phrase]
    return None


def _block(lines: Sequence[str], sender: Sender, anchor: str, languages: frozenset[str]) -> Block:
    rows = _rows(lines)
    if not rows:
        return NOTHING
    at = next((n for n, row in enumerate(rows) if beside(row, sender) is not None), -1)
    other = _another_person(rows[: at if at >= 0 else 3], sender)
    if other:
        return Block(tuple(rows), anchor, languages=languages, against=f"It is signed by {other}, who is not the sender.")
    if at < 0:
        return Block(tuple(rows), anchor, languages=languages, against=_another_address(rows, sender))
    full = next((n for n in range(at, len(rows)) if _has_full_name(rows[n], sender)), at)
    rest = beside(rows[full], sender) or ""
    if _is_for_somebody(rest):
        return Block(tuple(rows), anchor, languages=languages, against="It is signed on behalf of somebody else.")
    name = rows[full][: len(rows[full]) - len(rest)].strip(" ,|•·–—-/;(\t") if rest else rows[full].strip()
    kept = rows[: full + 1] + _of_this_person(rows[full + 1 :], sender)
    return Block(tuple(kept), anchor, full, rest, name, languages, _another_address(kept, sender))


def _by_name(kept: Sequence[str], sender: Sender) -> Block:
    """Returns the block that begins with the sender's name and ends the mail: no sentence may follow."""
    filled = [n for n, line in enumerate(kept) if line.strip()]
    for n in filled[-NAME_WITHIN:]:
        if n == filled[0] and len(filled) > 1 and kept[n].rstrip().endswith((",", "!", ":")):
            continue  # "Simon," greets another one
        if beside(kept[n], sender) is not None and not any(is_sentence(line) and sign_off_languages(line) is None for line in kept[n:]):
            rest = [line for line in kept[n + 1 :] if line.strip()]
            if not any(_begins_with_person(line) for line in rest):
                return _block(kept[n:], sender, "name", frozenset())
    return NOTHING


def _begins_with_person(line: str) -> bool:
    """Tells whether a line is one of a list of people: "Max Braun, Braun Catering, +49 …"."""
    parts = re.split(r"\s*[,|•·;\t]\s*", line)
    return len(parts) >= 3 and is_person_like(parts[0])


def _rows(lines: Sequence[str]) -> list[str]:
    """Returns the lines down to the first sentence, without rules; a blank line before one stays as "" if more follows."""
    rows: list[str] = []
    for line in lines:
        text = line.strip(" *_>")
        if not text or _DELIMITER.match(line):
            if rows and rows[-1]:
                rows.append("")
            continue
        if is_sentence(text) or (rows and sign_off_languages(text) is not None):
            break
        rows.append(text)
        if sum(1 for row in rows if row) >= LONGEST_BLOCK:
            break
    return rows if not rows or rows[-1] else rows[:-1]


def is_sentence(line: str) -> bool:
    """Tells whether a line is prose rather than a line of a signature."""
    text = line.strip()
    if len(text) > 160:
        return True
    words = text.split()
    if re.search(r"[.!?…。]$", text) and not LEGAL_FORM.search(text[-12:]):
        return len(words) >= 5 or (len(words) >= 2 and text[-1] in "!?")
    return len(words) >= 13 and sum(1 for sign in text if sign.isdigit()) < 6 and not re.search(r"[|•·]", text)


def beside(row: str, sender: Sender) -> str | None:
    """Returns what stands in a line beside the sender's name ("Head of Sales | Acme"), None where the line does not begin with
    it. A first name alone must be the whole line."""
    wanted = words_of(sender.name) or []
    if not wanted or not row:
        return None
    if _is_east_asian(sender.name):
        return _beside_east(row, sender.name)
    for match in (*_AFTER_NAME.finditer(row), None):
        head, rest = (row[: match.start()], row[match.end() :]) if match else (row, "")
        if _is_head(head, sender.name):
            return rest.strip(" )")
        if match and match.start() > 60:
            break
    return "" if wanted[0] in spelled(row.strip(" ,.-xX")) and len(row.split()) <= 2 else None


def spelled(word: str) -> frozenset[str]:
    return spellings_of(word) | {fold(word)}


def _is_head(head: str, name: str) -> bool:
    words, wanted = words_of(head), words_of(name)
    if len(words) > len(wanted) + 2 or not words or any(sign.isdigit() for sign in head):
        return False
    if len(wanted) < 2:
        return len(words) >= 2 and words[0] == wanted[0] and is_person_like(head)
    return len(words) >= 2 and is_same_person(head, name)


def _is_east_asian(name: str) -> bool:
    return re.search(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", name) is not None


def _beside_east(row: str, name: str) -> str | None:
    """A role stands before the name there: 営業部長 田中 健一."""
    found = re.search(r"\s?".join(re.escape(sign) for sign in "".join(name.split())), row)
    return f"{row[: found.start()]} {row[found.end() :]}".strip() if found else None


def _has_full_name(row: str, sender: Sender) -> bool:
    return beside(row, sender) is not None and (len(words_of(sender.name)) < 2 or len(words_of(row)) >= 2)


def _another_person(rows: Sequence[str], sender: Sender) -> str:
    """Returns the name of somebody else who signs, "" where nobody does. A first line of two capital words is one."""
    for row in rows:
        if not row:
            continue
        head = _AFTER_NAME.split(row, maxsplit=1)[0]
        if is_person_like(head) and not (sender.name and is_same_person(head, sender.name)) and not is_of_address(head, sender.address):
            return " ".join(without_titles(head.split()))[:60]
        if not is_person_like(head) and len(row.split()) > 1:
            break  # a company's or a role's line: names behind it are no signature
    return ""


def is_of_address(head: str, address: str) -> bool:
    """Tells whether two words are the sender's, or the company's, by the address: "Loop Design" of emma@loopdesign.example."""
    whole = re.sub(r"[\W_]", "", address)
    return all(any(form in whole for form in spellings_of(word)) for word in words_of(head))


def _of_this_person(rows: Sequence[str], sender: Sender) -> list[str]:
    """Returns the rows down to where another person's signature begins: a name behind a blank line, a role below it."""
    for n, row in enumerate(rows):
        if _is_for_somebody(row):
            return [row for row in rows[:n] if row]  # what follows is said of that person
    for n in range(1, len(rows) - 1):
        is_alone = not rows[n - 1] and is_person_like(rows[n])
        if is_alone and has_title(rows[n + 1]) and not is_same_person(rows[n], sender.name):
            return [row for row in rows[:n] if row]
    return list(rows)


def _is_for_somebody(text: str) -> bool:
    """Tells whether a text is "p.p. Peter Templeton", "on behalf of Peter Templeton"."""
    behind = _FOR_SOMEBODY.sub("", text)
    return behind != text and is_person_like(behind)


def has_title(text: str) -> bool:
    """Tells whether a text holds a word that names a role."""
    if TITLES_EAST.search(text):
        return True
    words = [piece for word in fold(text[:120]).split() for piece in (word.strip(".,()-"), *word.strip(".,()").split("-"))]
    return any(word in TITLES or any(word.endswith(end) and len(word) != len(end) + 1 for end in TITLE_ENDINGS) for word in words)


def _another_address(rows: Sequence[str], sender: Sender) -> str:
    """Returns why a signature is another one's, by an e-mail address in it, "" where none speaks against it."""
    local = sender.address.partition("@")[0]
    names = {form for word in words_of(sender.name) for form in spelled(word) if len(form) > 2}
    initials = {"".join(word[0] for word in words_of(sender.name))}
    for row in rows:
        for found in _ADDRESS.findall(row):
            address = normalise_address(found)
            theirs = address.partition("@")[0]
            is_mine = theirs == local or theirs in initials or any(name in theirs for name in names)
            if address and not is_mine and not is_shared_mailbox(address):
                return f"It names the address {address}, which is not the sender's."
    return ""
