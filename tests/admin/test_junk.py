"""Every address of ours with what no form ever sends: it is refused, said or ignored, and never a server error.

What is sent follows from the pages themselves: each form that a page shows is sent with each of its fields missing and holding
junk; each name that a view reads from the address, likewise."""

import inspect
import os
import re
import sys
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import reverse

from reconciliation.admin.routes import ROUTES as EVERY_ROUTE
from reconciliation.models import AuditEntry, Operation
from tests.admin.test_pages import PAGES, address, log_in, world

ROUTES = [route for route in EVERY_ROUTE if route[2] in PAGES]  # a mailbox user's own: see `test_mailbox_pages`
pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
__all__ = ["world"]

JUNK = {
    "nothing": "",
    "a NUL": "1\0|1|\0@a\0.example 2026",
    "a huge number": "9" * 21,
    "a number just too large": str(2**63),
    "a very long number": "7" * 4_500,  # longer than Python takes
    "a negative number": "-1",
    "a superscript": "²",
    "signs": ";'\"%_\\*?[({<|>})]@:,\r\nSet-Cookie: b=c\n\u202e\ufffe𐀀\x1b",
    "a first day": "0001-01-01T00:00:00+14:00",
    "a last day": "9999-12-31",
    "a key of no row": "99999999|1|x",
    "no address": "https://[::1/%zz",
}
# What a field is tried with alone; the others are sent everywhere, but together.
ALONE = ("nothing", "a huge number", "a very long number", "a superscript", "signs", "a first day", "no address")
# Each field meets every third of them, the next field the next ones; all of them with the full numbers.
EACH = 1 if os.environ.get("ACCEPT") else 3
A_MEGABYTE = {"a megabyte": "x" * 1_000_000}  # servers cut an address long before
PATH_JUNK = {
    "int": ["0", "9" * 21, str(2**63), "7" * 5_000],
    "slug": ["nosuch", "x" * 3_000],
    "str": ["0", "9" * 21, "7" * 5_000, "1%00", "..%2f..", "%ed%a0%80", "x" * 3_000],
}


class Forms(HTMLParser):
    """Collects (method, action, {name: [value]}) of every form of a page."""

    def __init__(self, where, text):
        super().__init__()
        self.where, self.found, self.open, self.select = where, [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        it = dict(attributes)
        if tag == "form":
            self.open = (it.get("method", "get").lower(), it.get("action") or self.where, {})
            self.found.append(self.open)
        if self.open is None:
            return
        fields, name = self.open[2], it.get("name")
        if tag == "select":
            self.select = name
        elif tag == "option" and self.select and ("selected" in it or self.select not in fields):
            fields[self.select] = [it.get("value") or ""]
        elif tag in ("input", "button", "textarea") and name:
            fields.setdefault(name, [it.get("value") or ""])

    def handle_endtag(self, tag):
        if tag == "form":
            self.open = None
        elif tag == "select":
            self.select = None


def asked_of_the_address(view):
    """Returns the names that the module of a view reads from the address, beside those of its filter, which is a form."""
    source = inspect.getsource(sys.modules[inspect.unwrap(view).__module__])
    names = set(re.findall(r'GET(?: if [^)]*)?\)?\.get(?:list)?\("(\w+)"', source))
    return names | ({"page"} if "paginate(" in source else set())


def takes_posts(view, name):
    return PAGES[name][1] == "post" or "POST" in inspect.getsource(inspect.unwrap(view))


class Troubles(list):
    """Sends requests, each undone at once, and keeps those that end in a server error."""

    def __init__(self, client):
        super().__init__()
        self.client, self.sent = client, 0
        client.raise_request_exception = False

    def send(self, method, where, data, what):
        self.sent += 1
        plain = {} if method == "get" else {"data": urlencode(data, doseq=True), "content_type": "application/x-www-form-urlencoded"}
        with transaction.atomic():
            answer = getattr(self.client, method)(where, **(plain or {"data": data}))
            if answer.streaming:
                try:
                    b"".join(answer.streaming_content)
                except Exception as error:
                    self.append((method, where[:200], what, repr(error)[:300]))
            if answer.status_code >= 500:
                self.append((method, where[:200], what, repr(answer.exc_info[1])[:300]))
            transaction.set_rollback(True)
        return answer


@pytest.fixture
def troubles(client, world):
    log_in(client, "admin")
    return Troubles(client)


def forms(client):
    """Returns every form that is sent to one of our pages, once each."""
    found = {}
    for name, (_, method) in PAGES.items():
        if method == "get":
            answer = client.get(address(name))
            if answer.headers["Content-Type"].startswith("text/html") and answer.status_code == 200:
                for method_, action, fields in Forms(address(name), answer.content.decode()).found:
                    key = (method_, re.sub(r"\d+", "n", action), frozenset(re.sub(r"\d+", "n", n) for n in fields))
                    found.setdefault(key, (method_, action, fields))
    return [form for form in found.values() if not form[1].startswith(("/login/", "/logout/", "/password_change/"))]


def test_each_field_of_each_form_may_be_missing_or_junk(troubles, client):
    every = forms(client)
    assert len(every) > 40

    for method, action, fields in every:
        troubles.send(method, action, {}, "nothing at all")
        for n, field in enumerate({re.sub(r"\d+", "n", f): f for f in fields if f != "csrfmiddlewaretoken"}.values()):
            troubles.send(method, action, {n: v for n, v in fields.items() if n != field}, f"without {field}")
            for what, junk in [*((what, JUNK[what]) for what in ALONE), *(A_MEGABYTE.items() if method == "post" else ())][
                n % EACH :: EACH
            ]:
                troubles.send(method, action, {**fields, field: [junk]}, f"{field}: {what}")

    assert list(troubles) == [] and troubles.sent > 500


def test_each_address_takes_any_field_that_any_form_has(troubles, client):
    """A button of one form, the fields of another; all of them junk."""
    names = {re.sub(r"^\d+-", "1-", n) for _, _, fields in forms(client) for n in fields}
    names |= {"decision", "peer_id", "link", "key", "case", "row", "operation", "field", "organisations", "most_new", "code", "version"}
    values = [("decision", d) for d in ("link", "different", "stop", "later", "undo", "again", "forget", "drop")]
    values += [("what", "impact"), ("what", "batch"), ("all", "1"), ("move", "1")]

    for _, view, name in ROUTES:
        for what, junk in [*JUNK.items()][len(name) % EACH :: EACH] if takes_posts(view, name) else ():
            troubles.send("post", address(name), dict.fromkeys(names, junk), f"everything: {what}")
        module = inspect.getsource(sys.modules[inspect.unwrap(view).__module__])
        for field, value in values if PAGES[name][1] == "post" else ():
            if f'"{value}"' in module:
                troubles.send("post", address(name), {**dict.fromkeys(names, JUNK["signs"]), field: value}, f"{field} {value}")

    assert list(troubles) == []


def test_what_an_address_asks_for_may_be_junk(troubles):
    for _, view, name in ROUTES:
        for n, asked in enumerate(sorted(asked_of_the_address(view) if PAGES[name][1] == "get" else ())):
            for what, junk in [*JUNK.items()][n % EACH :: EACH]:
                troubles.send("get", address(name), {asked: junk}, f"{asked}: {what}")

    assert list(troubles) == []


def test_an_address_may_name_what_does_not_exist(troubles):
    for route, view, name in ROUTES:
        parts = re.findall(r"<(\w+):\w+>", route)
        if not parts:
            continue
        real = address(name)
        pattern = re.escape(f"/{route}")
        for kind in parts:
            pattern = re.sub(rf"<{kind}:\w+>", "([^/]+)", pattern, count=1)
        found = re.fullmatch(pattern, real)
        assert found, (pattern, real)
        for index, kind in enumerate(parts, 1):
            for junk in PATH_JUNK[kind]:
                where = real[: found.start(index)] + junk + real[found.end(index) :]
                for method in ("get", "post") if takes_posts(view, name) else ("get",):
                    troubles.send(method, where, {}, "its own address")

    assert list(troubles) == []


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n'
BODIES = {
    "no parts": ("multipart/form-data; boundary=x", b"--y\r\n"),
    "cut off": ("multipart/form-data; boundary=x", PART + b"\r\nb"),
    "no boundary": ("multipart/form-data", b"abc"),
    "bad base64": ("multipart/form-data; boundary=x", PART + b"Content-Transfer-Encoding: base64\r\n\r\n=\r\n--x--\r\n"),
    "no charset": ("application/x-www-form-urlencoded; charset=nosuch", b"a=%ff%fe"),
    "no text": ("application/x-www-form-urlencoded", b"\xff\xfe=%ff&%00=%00&decision=%ed%a0%80"),
    "json": ("application/json", b'{"decision": "link"}'),
    "too many fields": ("application/x-www-form-urlencoded", b"a=b&" * 20_000),
    "too much": ("application/x-www-form-urlencoded", b"a=" + b"b" * 3_000_000),
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_is_no_form_is_no_server_error(client, world, what):
    log_in(client, "admin")
    client.raise_request_exception = False
    kind, body = BODIES[what]

    for _, _, name in ROUTES:
        with transaction.atomic():
            answer = client.generic("POST", address(name), body, content_type=kind)
            transaction.set_rollback(True)
        assert answer.status_code < 500, (name, answer.exc_info)


FILES = {
    "empty": b"",
    "nulls": b"\0" * 100,
    "no utf-8": b"\xff\xfe\xfd",
    "nested": b"[" * 200_000,
    "nested, closed": b"[" * 900 + b"]" * 900,
    "a long number": b"1" * 6_000,
    "half a pair": b'{"format": "\\ud800"}',
    "too long": b" " * 1_000_001,
}


@pytest.mark.parametrize("name", ["x.json", "\0", "../../etc/passwd", "x" * 3_000])
def test_a_file_of_settings_may_be_anything(client, world, name):
    log_in(client, "admin")

    for what, content in FILES.items():
        answer = client.post("/transfer/import/", {"file": SimpleUploadedFile(name, content)})
        assert answer.status_code in (302, 400), what
        assert client.post("/transfer/apply/", {"text": content.decode("latin-1"), "stamp": what}).status_code in (302, 400), what


@pytest.mark.parametrize("depth", [50, 150, 300, 450, 600, 750, 900, 950, 980, 990, 1_000, 2_000, 10_000])
def test_settings_nested_as_deep_as_anybody_likes_are_refused(client, world, depth):
    log_in(client, "admin")
    document = '{"format": "syncsite settings", "version": 1, "made_at": "x", "checksum": "x", "content": %s}'

    for nested in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        answer = client.post("/transfer/apply/", {"text": document % nested, "stamp": "x"}, follow=True)
        assert "Nothing was stored." in answer.content.decode()


def test_the_pages_in_front_of_the_log_in_take_junk_too(client, world):
    client.raise_request_exception = False

    for what, junk in JUNK.items():
        for form in ({"username": junk}, {"password": junk}, {"next": junk}):
            answer = Client(raise_request_exception=False).post("/login/", {"username": "a", "password": "b", **form, "code": junk})
            assert answer.status_code < 500, (what, answer.exc_info)
        for where in ("/login/", "/nosuch/", "/logout/", "/"):
            assert client.get(where, {"next": junk, junk[:100]: "x"}).status_code < 500, (what, where)


def test_the_lists_of_users_and_roles_take_junk_too(client, world, admin_user):
    client.force_login(admin_user)
    troubles = Troubles(client)

    for what, junk in JUNK.items():
        for where in ("/auth/user/", "/auth/group/", "/auth/user/export.csv"):
            for asked in ("q", "p", "o", "e", "all", "is_active__exact", "groups__id__exact", "id", "nosuch__field"):
                troubles.send("get", where, {asked: junk}, f"{asked}: {what}")

    assert list(troubles) == []


def test_what_is_refused_so_early_changes_nothing_and_says_what_is_wrong(client, world):
    log_in(client, "admin")
    before = AuditEntry.objects.count(), Operation.objects.count()

    answer = client.post(reverse("admin:writes_stop"), {"reason": "a\0b"})

    assert answer.status_code == 400 and "characters" in answer.content.decode()
    assert (AuditEntry.objects.count(), Operation.objects.count()) == before
