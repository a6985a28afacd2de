"""The log-in page carries the security policy and breaks none of it (engine-rules 28)."""

from typing import Any

import pytest
from django.test import Client


@pytest.mark.django_db
def test_the_log_in_page_carries_the_policy(client: Client) -> None:
    response = client.get("/login/")

    assert response.status_code == 200
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert policy["form-action"].startswith("'self'")
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.cookies["csrftoken"]["samesite"] == "Lax"


@pytest.mark.django_db
def test_a_visitor_is_sent_to_the_log_in_page(client: Client) -> None:
    response = client.get("/")

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/")
    assert "Content-Security-Policy" in response.headers


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_log_in_page_breaks_no_policy_and_logs_in(page: Any, live_server: Any, django_user_model: Any) -> None:
    django_user_model.objects.create_superuser("admin", password="a long password")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    page.goto(f"{live_server.url}/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("a long password")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{live_server.url}/")

    assert complaints == []
