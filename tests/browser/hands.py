"""A person at the browser: logged in, with the keyboard alone, and what axe-core and a ruler find on the page before them."""

from __future__ import annotations

import os
from pathlib import Path

import axe_playwright_python
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import Locator, Page

AXE = next(Path(axe_playwright_python.__file__).parent.glob("**/axe.min.js")).read_text(encoding="utf-8")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}  # all that the colours of a page can change
WIDTHS, SCHEMES = (1366, 390), ("light", "dark")
PICTURES = os.environ.get("PICTURES", "")  # a folder that gets a picture of each page looked at
MOST_STOPS = 200


def enter(page: Page, address: str, role: str) -> User:
    """Logs a person of this role in, beside the log-in page, and opens the dashboard. The person is made on first use."""
    user, is_new = User.objects.get_or_create(username=f"a-{role}", is_staff=True)
    if is_new:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    page.goto(address)
    return user


def press(page: Page, target: Locator, *keys: str) -> None:
    """Goes to a control by the Tab key alone, then presses the keys. Fails where Tab never comes to the control."""
    for _ in range(MOST_STOPS):
        if target.evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("Tab")
    else:
        raise AssertionError(f"Tab does not come to {target}")
    for key in keys:
        page.keyboard.press(key)


def faults(page: Page, name: str = "") -> list[object]:
    """Returns what is wrong with the page as it stands, wide and narrow, light and dark, without loading it again."""
    found: list[object] = []
    page.evaluate(AXE)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.evaluate("document.getAnimations().forEach((it) => it.cancel())")  # colours would fade into each other
            rules = RULES if scheme == SCHEMES[0] else CONTRAST
            for it in page.evaluate("rules => axe.run(document, rules)", rules)["violations"]:
                found.append((page.url, width, scheme, it["id"], [node["html"][:200] for node in it["nodes"]][:3]))
            if PICTURES:
                page.screenshot(path=f"{PICTURES}/{name or page.url.rstrip('/').rsplit('/', 1)[1]}-{width}-{scheme}.png", full_page=True)
        if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 1:
            found.append((page.url, width, f"{over} px too wide"))
    return found
