"""What a mail says itself: its text without the mails that it quotes, in the ways of many mail programs and languages. Pure.

What cannot be told apart stays in; the reader of signatures is careful with it."""

from __future__ import annotations

import re

MOST_TEXT = 200_000  # characters; the newest part stands on top
LONGEST_LINE = 500
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_BREAKS = re.compile(r"\r\n?|[\x85\u2028\u2029]")

# A line over a quoted mail: how it begins, and the word at its end that says "wrote". It may be broken into several lines.
_WROTE = re.compile(
    r"^(?:On|Am|Le|El|Il|Op|Em|A|Den|W dniu|Dnia|Dne|På|Pe)\b.{0,400}?"
    r"(?:wrote|schrieb|a écrit|escribió|ha scritto|schreef|het volgende geschreven|escreveu|skrev|napisał|napisała|pisze|napsal|napsala|"
    r"kirjoitti|a scris|írta)\b.{0,200}:\s*$",
    re.IGNORECASE,
)
_WROTE_LAST = re.compile(
    r"^(?=.{0,400}(?:\d|@)).{1,400}\b(?:wrote|schrieb|a écrit|escribió|ha scritto|schreef|escreveu|skrev|napisał\(a\)|napisał|pisze|"
    r"napsal\(a\)|"
    r"napsal|kirjoitti|írta)\s?:\s*$",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"^(?=.{0,300}\d{4})(?:On|Am|Le|El|\d{4}\s?[年/.-]).{0,300}<[^<>\s]{3,200}@[^<>\s]{3,200}>\s?(?:のメール|wrote)?\s?[:：]\s*$",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"^(?:(?:On|Am|Le|El|Il|Op|Em|A|Den|W dniu|Dnia|Dne|På)\b.{0,400}\d|\d{4}年)", re.IGNORECASE)
_RULE = re.compile(
    r"^\s*[-_*= ]{2,40}\s*(?:original message|forwarded message|original appointment|original-nachricht|ursprüngliche nachricht|"
    r"weitergeleitete nachricht|message d'origine|message transféré|message original|mensaje original|mensaje reenviado|"
    r"messaggio originale|"
    r"messaggio inoltrato|oorspronkelijk bericht|doorgestuurd bericht|mensagem original|mensagem encaminhada|ursprungligt meddelande|"
    r"vidarebefordrat meddelande|oprindelig meddelelse|opprinnelig melding|alkuperäinen viesti|wiadomość oryginalna|oryginalna wiadomość|"
    r"původní zpráva|元のメッセージ|original nachricht|reply above this line)\s*[-_*= ]{0,40}\s*$|^begin forwarded message:?\s*$",
    re.IGNORECASE,
)
_FROM = re.compile(r"^\W{0,3}(?:from|von|de|da|van|från|fra|od|lähettäjä|差出人|送信者|feladó)\W{0,3}[:：]\W{0,3}\s*\S", re.IGNORECASE)
_HEADER = re.compile(
    r"^\W{0,3}(?:sent|date|to|subject|cc|gesendet|datum|an|betreff|envoyé|à|objet|enviado(?: el)?|para|asunto|fecha|inviato|data|a|oggetto|"
    r"verzonden|aan|onderwerp|enviada(?: em)?|assunto|skickat|till|ämne|sendt|til|emne|lähetetty|vastaanottaja|aihe|wysłano|do|temat|"
    r"odesláno|komu|předmět|送信日時|日付|宛先|件名)\W{0,3}[:：]",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"^\s{0,3}(?:>|\|\s?>)")


def newest_part(text: str) -> str:
    """Returns the newest mail of a text, without what it quotes: behind "On … wrote:", behind a block of From, Sent, To, behind
    "Original Message", and lines with ">". Answers between quoted lines stay. Raises nothing; reads 200,000 characters."""
    lines = clean_lines(text)
    kept: list[str] = []
    n = 0
    while n < len(lines):
        if _QUOTED.match(lines[n]):
            n += 1
            continue
        if _RULE.match(lines[n]) or _begins_header(lines, n):
            break
        length = _attribution(lines, n)
        if not length:
            kept.append(lines[n])
            n += 1
            continue
        n += length
        if not _is_quoted_next(lines, n):
            break
    return "\n".join(kept).strip("\n")


def clean_lines(text: str) -> list[str]:
    """Returns the lines of a text without signs that nobody sees or that turn its direction; long ones are cut."""
    seen = _UNSEEN.sub("", _BREAKS.sub("\n", text[:MOST_TEXT])).replace("\xa0", " ")
    return [line[:LONGEST_LINE].rstrip() for line in seen.split("\n")]


def _attribution(lines: list[str], n: int) -> int:
    """Returns how many lines "On … wrote:" takes from here, 0 where it does not stand here."""
    line = lines[n].strip()
    if not line:
        return 0
    if _is_attribution(line):
        return 1
    if not _BEGINS.match(line):
        return 0
    for count in (2, 3):
        part = [other.strip() for other in lines[n : n + count]]
        if all(part) and _is_attribution(" ".join(part)):
            return count
    return 0


def _is_attribution(line: str) -> bool:
    if not line.endswith((":", "：")):
        return False
    has_date = any(sign.isdigit() for sign in line)
    return (has_date and _WROTE.match(line) is not None) or _WROTE_LAST.match(line) is not None or _DATED.match(line) is not None


def _begins_header(lines: list[str], n: int) -> bool:
    """Tells whether a block of From, Sent, To and Subject stands here, as Outlook sets it over what it quotes."""
    if not _FROM.match(lines[n]):
        return False
    following = [line for line in lines[n + 1 : n + 9] if line.strip()][:5]
    return sum(1 for line in following if _HEADER.match(line)) >= 2


def _is_quoted_next(lines: list[str], n: int) -> bool:
    following = next((line for line in lines[n : n + 5] if line.strip()), "")
    return _QUOTED.match(following) is not None
