"""Mailboxes from a CSV file: each line by itself, said before anything is done."""

from __future__ import annotations

import time

import pytest

from reconciliation.models import Connection, Mailbox, MailboxGroup
from reconciliation.services.mailbox_import import ADD, MOST_ROWS, THERE, Plan, carry_out, read
from reconciliation.services.mailboxes import MailboxRefused
from tests.boxes import boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
HEAD = "address,group,salesforce user\n"


def judged(plan: Plan) -> list[tuple[int, str, str]]:
    return [(row.line, row.address, row.will or row.says) for row in plan.rows]


def test_each_line_says_what_would_happen_and_a_bad_one_stops_no_other() -> None:
    MailboxGroup.objects.create(name="Sales")
    box = boxes()
    peer = Connection.objects.get(system="microsoft")
    text = (
        HEAD + "cleo@example.test,sales,Cleo.Crm@example.test\n\n"
        '"dan@example.test, an open quotation mark\n'
        "CLEO@example.test,,\n"
        f"{box.mine.upper()},,\n"
        "no address,,\n"
        "eve@example.test,Marketing,\n"
        "fay@example.test,,nobody\n"
        ",Sales,\n"
        "=HYPERLINK(1),,\n"
        "gus@example.test\n" + "x" * 3000 + "@example.test\n"
    )

    plan = read(text, peer)

    assert judged(plan) == [
        (2, "cleo@example.test", ADD),
        (4, '"dan@example.test, an open quotation mark', plan.rows[1].error),
        (5, "CLEO@example.test", "The address stands on line 2 already."),
        (6, box.mine.upper(), THERE),
        (7, "no address", "“no address” is no e-mail address."),
        (8, "eve@example.test", "There is no group “Marketing”. Make it first, or leave the column empty."),
        (9, "fay@example.test", "Salesforce user: “nobody” is no e-mail address."),
        (10, "", "It has no address."),
        (11, "=HYPERLINK(1)", "“=HYPERLINK(1)” is no e-mail address."),
        (12, "gus@example.test", ADD),
        (13, "x" * 80, "The line is too long to be an address with its group."),
    ]
    assert "quotation mark" in plan.rows[1].error and (plan.added, plan.there, plan.wrong) == (2, 1, 8)
    assert not Mailbox.objects.filter(address__startswith="cleo").exists()

    box.world.salesforce.create_record(
        "User", {"Username": "c@crm.test", "LastName": "Crm", "Email": "cleo.crm@example.test", "Alias": "c"}
    )
    done = carry_out(plan, peer, None, wiring=box.wiring)

    assert (done.changed, done.refused) == (2, [])
    cleo = Mailbox.objects.get(address="cleo@example.test")
    assert str(cleo.group) == "Sales" and cleo.crm_user_name.endswith("Crm")
    assert read(text, peer).there == 3
    with pytest.raises(MailboxRefused, match="adds a mailbox"):
        carry_out(read(text, peer), peer, None, wiring=box.wiring)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The file is empty"),
        (b"\n , \n", "The file is empty"),
        ("address\nmüller@example.test\n".encode("latin-1"), "not in UTF-8"),
        ("ann@example.test,Sales\n", "names no column “address”"),
        ("address,e-mail\n", "Two columns"),
        ("address\n" + "a@example.test\n" * (MOST_ROWS + 1), "10,001 lines; at most 10,000"),
        ("address\n" + "a" * 5_000_001, "larger than 5 MB"),
        (b"\xff\xfe\x00", "not in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(data: str | bytes, sentence: str) -> None:
    plan = read(data)

    assert sentence in plan.errors[0] and not plan.may_be_carried_out
    with pytest.raises(MailboxRefused):
        carry_out(plan, Connection(name="Mail", system="microsoft"), None)


@pytest.mark.parametrize(
    "data",
    [
        "E-Mail;Group\r\nann@example.test;\r\n".encode("utf-8-sig"),
        "address\tgroup\nann@example.test\t\n".encode("utf-16"),
        "Mailbox\rann@example.test",
        '"Address", "Group"\n"ann@example.test",""\n',
    ],
    ids=["with a mark, semicolons and CRLF", "as Excel's Unicode text", "lines of an old Mac", "quoted"],
)
def test_files_of_many_programs_are_read(data: str | bytes) -> None:
    plan = read(data)

    assert (plan.errors, judged(plan)) == ((), [(2, "ann@example.test", ADD)])


def test_control_characters_and_null_bytes_are_no_addresses() -> None:
    plan = read("address\na\x00nn@example.test\nann@exam\u202eple.test\n\x0cbob@example.test\n")

    assert [(row.address, row.says) for row in plan.rows] == [
        ("a�nn@example.test", "“a�nn@example.test” is no e-mail address."),
        ("ann@exam�ple.test", "“ann@exam�ple.test” holds an invisible character."),
        ("bob@example.test", "is added"),  # a form feed is a blank
    ]


def test_ten_thousand_lines_are_carried_out_in_good_time() -> None:
    box = boxes()
    peer = Connection.objects.get(system="microsoft")
    began = time.monotonic()

    plan = read(HEAD + "".join(f"p{n}@example.test,,\n" for n in range(MOST_ROWS)), peer)
    done = carry_out(plan, peer, None, wiring=box.wiring)

    assert (plan.added, done.changed) == (MOST_ROWS, MOST_ROWS)
    assert box.calls()["salesforce"] <= 2
    assert time.monotonic() - began < 60
