"""Which leads and contacts a file names: any encoding and separator, bad rows by their number, nothing carried out."""

import pytest

from reconciliation.services.import_choice import MOST_BYTES, MOST_ROWS, ImportRefused, choice_of, choice_of_file

CONTACT, LEAD, ACCOUNT = "003AA0000000001YAA", "00QAA0000000001YAA", "001AA0000000001YAA"


def full(prefix, number=1):
    from connectors.salesforce.codec import full_id

    return full_id(f"{prefix}AA{number:010d}")


def test_ids_of_15_and_18_characters_and_addresses_are_taken_in_their_order():
    contact, lead = full("003"), full("00Q")

    choice = choice_of_file(f"{contact[:15]}\n{lead}\nAda@Example.com\n".encode())

    assert [(r.given, r.object_type) for r in choice.rows] == [(contact, "Contact"), (lead, "Lead"), ("Ada@Example.com", "")]
    assert choice.bad == ()
    assert choice_of(choice.text.split("\n")) == choice


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_report_is_read_whatever_program_wrote_it(encoding, separator, line_end):
    contact, account = full("003"), full("001")
    lines = [["Full Name", "Account ID", "Contact ID", "Email"], ["Zoë Müller", account, f'"{contact}"', "z@example.com"]]
    text = line_end.join(separator.join(line) for line in lines) + line_end

    choice = choice_of_file(text.encode(encoding))

    assert [r.given for r in choice.rows] == [contact] and choice.bad == ()


def test_bad_rows_are_named_by_their_number_and_why():
    contact = full("003", 26)
    spoilt = contact[:15].lower() + contact[15:] if contact[:15].lower() != contact[:15] else contact[:17] + "X"

    choice = choice_of_file(f"Email\nada@example.com\n\nnobody\n{full('001')}\n{spoilt}\n=HYPERLINK(1)\n".encode())

    assert [r.given for r in choice.rows] == ["ada@example.com"]
    assert [(b.number, b.said) for b in choice.bad] == [(4, "nobody"), (5, full("001")), (6, spoilt), (7, "=HYPERLINK(1)")]
    assert [w in b.why for w, b in zip(["neither", "something else", "do not fit", "neither"], choice.bad, strict=True)] == [True] * 4


def test_the_first_row_is_no_heading_when_it_names_somebody_or_nothing():
    assert [r.given for r in choice_of_file(b"id@example.com\nbob@example.com").rows] == ["id@example.com", "bob@example.com"]
    assert choice_of_file(b"nobody\nbob@example.com").bad[0].number == 1


def test_what_spreadsheets_put_around_a_value_is_taken_off():
    choice = choice_of_file("sep=;\n'ada@example.com;1\nmailto:bob@example.com;2\n\xa0eve@example.com ;3\n".encode())

    assert [r.given for r in choice.rows] == ["ada@example.com", "bob@example.com", "eve@example.com"]


def test_the_same_twice_is_kept_twice_and_told_by_its_key():
    rows = choice_of(["Ada@Example.com", "ada@example.com", full("003"), full("003")[:15]]).rows

    assert len(rows) == 4 and rows[0].key == rows[1].key and rows[2].key == rows[3].key != rows[0].key


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Nothing was chosen"),
        (b"\n\n ;;\n", "Nothing was chosen"),
        (b"x" * (MOST_BYTES + 1), "larger than 1 MB"),
        (b"PK\x03\x04\x00\x00", "no text file"),
        (b'"' + b"a" * 200_000, "cannot be read as CSV"),
        (b"\xff\xfeA", None),
    ],
)
def test_what_is_no_list_is_refused_with_a_sentence(data, said):
    if said is None:
        assert choice_of_file(data).bad
        return
    with pytest.raises(ImportRefused, match=said):
        choice_of_file(data)


def test_more_rows_than_one_import_takes_are_refused():
    with pytest.raises(ImportRefused, match="Divide them"):
        choice_of(f"a{n}@example.com" for n in range(MOST_ROWS + 1))
