"""The navigation: what each role is offered, where it says one is; and what the templates and the style must not grow into."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders

from tests.admin.test_pages import PAGES, address, log_in
from tests.admin.test_pages import world as world  # noqa: PLC0414  # the fixture

pytestmark = pytest.mark.django_db
MOST_STYLE_BYTES = 15_500
# Pages that are nobody's list: they are reached from many places, or from the menu under one's name.
ELSEWHERE = {"second_factor", "support", "why", "connection_callback"}


def current(page):
    """Returns the titles of the links that say they are the page shown."""
    return re.findall(r'aria-current="page">([^<]+?)(?: <b>|</a>)', re.search(r"<nav class=\"jobs\".*?</nav>", page, re.S).group())


@pytest.mark.parametrize(
    ("where", "title"),
    [
        ("/", "Dashboard"),
        ("/runs/", "Runs"),
        ("/coverage/", "Records"),
        ("/coverage/linked/", "Records"),
        ("/differences/?kind=blank", "Records"),
        ("/without-owner/", "Records"),
        ("/deleted/", "Records"),
        ("/journal/", "Journal"),
        ("/forget/", "Data kept"),
    ],
)
def test_the_navigation_says_where_one_is(client, world, where, title):
    log_in(client, "admin")

    assert current(client.get(where).content.decode()) == [title]


def test_every_page_stands_under_one_entry_of_the_navigation(client, world):
    log_in(client, "admin")

    for name, (_, method) in PAGES.items():
        if method != "get" or name in ELSEWHERE or name.endswith(("_export", "_status", "_progress", "_count")):
            continue
        answer = client.get(address(name))
        assert answer.status_code != 200 or len(current(answer.content.decode())) == 1, name


def test_a_viewer_is_offered_the_settings_to_read_and_an_admin_each_of_them(client, world):
    log_in(client, "viewer")
    page = client.get("/").content.decode()
    assert '<a href="/dedupe-policy/">' in page and '<a href="/record-types/">' in page
    assert not any(f'<a href="{where}">' in page for where in ("/connections/", "/setup/", "/schedule/", "/transfer/", "/audit/"))

    log_in(client, "admin")
    page = client.get("/").content.decode()
    for where in ("/connections/", "/setup/", "/schedule/", "/retention/", "/transfer/", "/log-ins/", "/audit/"):
        assert f'<a href="{where}">' in page, where


def test_no_template_of_ours_switches_escaping_off():
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape off", path.read_text(encoding="utf-8")), path


def test_the_style_stays_small_and_fetches_nothing():
    style = Path(finders.find("reconciliation/theme.css")).read_text(encoding="utf-8")

    assert len(style.encode()) <= MOST_STYLE_BYTES
    assert "url(" not in style and "@import" not in style
