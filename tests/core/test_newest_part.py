"""What a mail says itself, in the languages and mail programs of the world, and its text where it is HTML."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.html_text import html_to_text, looks_like_html
from reconciliation.core.newest_part import newest_part

SAID = "Yes, that is fine.\n\nBo Li"
QUOTED = "Old text\nAnn Old\nTel 030 1234567"


@pytest.mark.parametrize(
    "over",
    [
        "On Tue, Nov 3, 2026 at 9:14 AM Ann Old <ann@old.example> wrote:",
        "On Tue, Nov 3, 2026 at 9:14 AM Ann Old <ann@old.example>\nwrote:",
        "Am 02.11.2026 um 14:22 schrieb Ann Old:",
        "Am Mo., 2. Nov. 2026 um 14:22 Uhr schrieb Ann Old <\nann@old.example>:",
        "Le lun. 2 nov. 2026 à 09:12, Ann Old <ann@old.example> a écrit :",
        "El 2 nov 2026, a las 10:31, Ann Old <ann@old.example> escribió:",
        "Il giorno lun 2 nov 2026 alle ore 11:05 Ann Old <ann@old.example> ha scritto:",
        "Op ma 2 nov. 2026 om 10:00 schreef Ann Old <ann@old.example>:",
        "Em seg., 2 de nov. de 2026 às 10:00, Ann Old <ann@old.example> escreveu:",
        "Den mån 2 nov. 2026 kl 10:00 skrev Ann Old <ann@old.example>:",
        "W dniu 2.11.2026 o 12:00, Ann Old pisze:",
        "pon., 2 lis 2026 o 12:00 Ann Old <ann@old.example> napisał(a):",
        "Dne 2. 11. 2026 v 12:00 Ann Old <ann@old.example> napsal(a):",
        "ma 2. marrask. 2026 klo 12.00 Ann Old <ann@old.example> kirjoitti:",
        "2026年11月2日(月) 10:12 Ann Old <ann@old.example>:",
        "-----Original Message-----",
        "---------- Forwarded message ---------",
        "-----Ursprüngliche Nachricht-----",
        "-------- Message d'origine --------",
        "From: Ann Old <ann@old.example>\nSent: Monday, 2 November 2026 10:00\nTo: Bo Li\nSubject: Re: offer",
        "*From:* Ann Old <ann@old.example>\n*Date:* Monday, 2 November 2026\n*To:* Bo Li",
        "________________________________\nVon: Ann Old\nGesendet: Montag, 2. November 2026\nAn: Bo Li\nBetreff: Angebot",
        "De : Ann Old\nEnvoyé : lundi 2 novembre 2026\nÀ : Bo Li\nObjet : offre",
        "De: Ann Old\nEnviado el: lunes, 2 de noviembre de 2026\nPara: Bo Li\nAsunto: oferta",
        "Da: Ann Old\nInviato: lunedì 2 novembre 2026\nA: Bo Li\nOggetto: offerta",
        "Van: Ann Old\nVerzonden: maandag 2 november 2026\nAan: Bo Li\nOnderwerp: offerte",
        "Från: Ann Old\nSkickat: den 2 november 2026\nTill: Bo Li\nÄmne: offert",
        "Od: Ann Old\nWysłano: 2 listopada 2026\nDo: Bo Li\nTemat: oferta",
        "差出人: Ann Old\n送信日時: 2026年11月2日\n宛先: Bo Li\n件名: 見積",
    ],
)
def test_what_is_quoted_is_left_out(over):
    kept = newest_part(f"{SAID}\n\n{over}\n\n{QUOTED}")

    assert kept.startswith(SAID) and "Old" not in kept


def test_answers_between_quoted_lines_stay():
    text = "On 2 Nov 2026 Ann <ann@old.example> wrote:\n> When?\nOn Monday.\n> Where?\nHere.\n\nBo Li"

    assert newest_part(text).split() == ["On", "Monday.", "Here.", "Bo", "Li"]


@pytest.mark.parametrize(
    "text", ["On Monday I wrote: nothing", "From: the beginning\nwe knew", "A: yes\nB: no", "Am Ende schrieb er es auf."]
)
def test_prose_is_no_quote(text):
    assert newest_part(f"{text}\nBo") == f"{text}\nBo"


def test_signs_that_nobody_sees_are_left_out():
    assert newest_part("Bo\u202e\u200b Li\r\n\x07Acme\u2028x") == "Bo Li\nAcme\nx"


def test_the_text_of_html_is_lines_and_hides_nothing_that_is_seen():
    html = (
        "<!DOCTYPE html><html><head><title>no</title><style>p{}</style></head><body><p>Hello&nbsp;Bo,</p>"
        "<!-- no --><table><tr><td>Tel</td><td>030 1</td></tr></table><div hidden>no</div><span style='DISPLAY: none'>no<b>no</b></span>"
        "<script>no()</script>a &lt; b<br/>c<blockquote>no<blockquote>no</blockquote>no</blockquote>"
        "<div class='gmail_quote'>no<div>no</div></div>end</body></html>"
    )

    lines = [line for line in html_to_text(html).split("\n") if line]

    assert lines == ["Hello Bo,", "Tel\t030 1", "a < b", "c", "end"]
    assert looks_like_html(html) and not looks_like_html("a < b and <bo@acme.example>")


@given(st.text(max_size=600) | st.text(alphabet="<>!-/ab&#;='\" \n", max_size=600))
def test_no_text_is_too_strange(text):
    html_to_text(text)
    assert len(newest_part(text)) <= len(text)


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<a b='", "</", "<div>", "&#", "On 1 wrote\n", "> ", "From: a\n", "- ", "<a@b.c> 2026 ", "\n", "a"]
)
def test_work_is_bounded_by_size(piece):
    hostile = piece * (1_000_000 // len(piece))
    started = time.process_time()

    newest_part(hostile)
    html_to_text(hostile)

    assert time.process_time() - started < 8
