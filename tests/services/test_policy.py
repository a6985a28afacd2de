"""The dedupe policy (S2.1 to S2.5): two options, admins only, confirmed, told, and effective from the next import on."""

import pytest
from django.contrib.auth.models import Group, User

from reconciliation.models import AuditEntry, Case, Policy
from reconciliation.services.policy import PolicyRefused, allows_remap, dedupe_policy, policy_set
from tests.paired import paired

pytestmark = pytest.mark.django_db
ADDRESS = "/dedupe-policy/"


def log_in(client, role):
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def test_s2_1_the_setting_asks_the_seeds_question_with_exactly_two_options_and_is_stored_on_save(client):
    log_in(client, "admin")
    page = client.get(ADDRESS).content.decode()

    assert "How do you want to handle prospect imports with the same email address?" in page
    assert page.count('type="radio"') == 2
    for label in ("Prevent multiple prospects with the same email", "Allow user to select the preferred CRM ID"):
        assert label in page
    asked = client.post(ADDRESS, {"same_email": "choose", "seen": "prevent"})
    assert "Yes, change it" in asked.content.decode() and not allows_remap()
    client.post(ADDRESS, {"same_email": "choose", "seen": "prevent", "confirmed": "yes"})
    assert allows_remap()
    assert "by admin" in client.get(ADDRESS).content.decode()


def test_s2_2_the_default_prevents_several_prospects_with_one_address():
    assert dedupe_policy().choice == "prevent" and not allows_remap() and dedupe_policy().at is None


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_s2_4_only_admins_change_it(client, role):
    log_in(client, role)

    assert ">Save<" not in client.get(ADDRESS).content.decode()  # they read it
    for form in ({"same_email": "choose", "seen": "prevent"}, {"same_email": "choose", "seen": "prevent", "confirmed": "yes"}):
        assert client.post(ADDRESS, form).status_code == 403
    assert not allows_remap()


def test_s2_4_a_change_holds_from_the_next_run_on():
    box = paired()
    box.contact("Byrne", "ada@acme.example")
    box.contact("Byrne", "ada@acme.example")
    box.run()
    assert not Case.objects.filter(kind="remap").exists()
    policy_set("choose", "prevent", User.objects.create_user("boss"))

    box.run(is_full=True)

    assert Case.objects.filter(kind="remap", state="open").count() == 1


def test_the_confirmation_says_how_many_open_questions_wait_then(client):
    log_in(client, "admin")
    box = paired()
    Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose"})
    box.contact("Byrne", "ada@acme.example")
    box.contact("Byrne", "ada@acme.example")
    box.run()

    page = client.post(ADDRESS, {"same_email": "prevent", "seen": "choose"}).content.decode()

    assert "1 open question of this kind" in page


def test_the_second_of_two_admins_is_told_that_it_changed_meanwhile():
    first, second = User.objects.create_user("first"), User.objects.create_user("second")
    policy_set("choose", "prevent", first)

    with pytest.raises(PolicyRefused, match="first changed it meanwhile"):
        policy_set("choose", "prevent", second)
    with pytest.raises(PolicyRefused, match="one of the two"):
        policy_set("both", "choose", second)
    entry = AuditEntry.objects.get(action="change dedupe policy")
    assert (entry.username, entry.detail["after"]) == ("first", "choose")
    assert not policy_set("choose", "choose", second)


def test_a_choice_that_is_none_and_one_that_changes_nothing_are_told(client):
    log_in(client, "admin")

    assert "Choose one of the two" in client.post(ADDRESS, {"same_email": "<x>", "seen": "prevent"}, follow=True).content.decode()
    assert "Nothing was changed" in client.post(ADDRESS, {"same_email": "prevent", "seen": "prevent"}, follow=True).content.decode()
