"""Tokens that Django makes open at the tier what their claims say; signing out and deactivating a user closes sockets."""

import json

import pytest
from servers import until
from websockets.exceptions import ConnectionClosed


@pytest.fixture
def people(settings_of):
    settings_of(TIMEOUT=10.0)
    from shop.models import Restaurant, User

    owner = User.objects.create_user("olga", password="secret", role="RESTAURANT", first_name="Olga", last_name="Owner")
    admin = User.objects.create_user("adam", password="secret", role="ADMIN")
    customer = User.objects.create_user("cleo", password="secret", role="CUSTOMER")
    rider = User.objects.create_user("rita", password="secret", role="DELIVERY")
    mine, other = Restaurant.objects.create(owner=owner, name="Mine"), Restaurant.objects.create(owner=admin, name="Other")
    return {"owner": owner, "admin": admin, "customer": customer, "rider": rider, "mine": mine, "other": other}


def tokens(name):
    from django.test import Client

    answer = Client().post("/token", {"username": name, "password": "secret"}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def opens(tier, path, token):
    """Whether a socket stays open: a refusal is a close right after the handshake."""
    with tier.socket(path, token) as socket:
        try:
            socket.recv(timeout=0.3)
        except TimeoutError:
            return True
        except ConnectionClosed as closed:
            assert closed.rcvd.code in (4001, 4003), closed
            return False
    return True


def test_roles_and_restaurants_in_tokens_open_feeds(people, tier):
    owner, admin = tokens("olga")["access"], tokens("adam")["access"]
    customer, rider = tokens("cleo")["access"], tokens("rita")["access"]
    mine, other = people["mine"].pk, people["other"].pk
    assert opens(tier, f"/ws/orders/{mine}/", owner)
    assert not opens(tier, f"/ws/orders/{other}/", owner)
    assert opens(tier, "/ws/admin/", admin)
    assert not opens(tier, "/ws/admin/", customer)
    assert opens(tier, f"/ws/customer/{people['customer'].pk}/", customer)
    assert not opens(tier, f"/ws/customer/{people['owner'].pk}/", customer)
    assert opens(tier, f"/ws/delivery/{people['rider'].pk}/", rider)


def test_claims_have_the_names_that_the_tier_reads(people):
    import jwt

    pair = tokens("olga")
    for token in pair.values():
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["role"], claims["restaurant_ids"], claims["name"]) == ("RESTAURANT", [people["mine"].pk], "Olga Owner")


def test_a_refresh_token_opens_nothing(people, tier):
    assert not opens(tier, f"/ws/customer/{people['customer'].pk}", tokens("cleo")["refresh"])


def test_a_new_access_token_has_the_claims_that_hold_now(people):
    import jwt
    from django.test import Client

    refresh = tokens("adam")["refresh"]
    admin = people["admin"]
    admin.role = "CUSTOMER"
    admin.save()
    people["other"].delete()
    answer = Client().post("/token/refresh", {"refresh": refresh}, content_type="application/json").json()
    claims = jwt.decode(answer["access"], options={"verify_signature": False})
    assert claims["role"] == "CUSTOMER" and "restaurant_ids" not in claims
    assert claims["token_type"] == "access"


def test_the_application_may_make_the_claims_itself(settings_of, people):
    import jwt

    settings_of(CLAIMS="shop.claims.made")
    assert jwt.decode(tokens("cleo")["access"], options={"verify_signature": False})["info"] == {"badge": "cleo"}


def closed(socket):
    with pytest.raises(ConnectionClosed) as error:
        while True:
            socket.recv(timeout=20)
    return error.value.rcvd.code, error.value.rcvd.reason


def test_signing_out_and_deactivating_close_sockets_and_a_rollback_closes_none(people, tier):
    from django.db import transaction
    from django.test import Client

    from platepal_realtime.django.publishing import client

    customer = people["customer"]
    path = f"/ws/customer/{customer.pk}"
    browser = Client()
    browser.force_login(customer)
    with tier.socket(path, tokens("cleo")["access"]) as socket:
        with pytest.raises(RuntimeError), transaction.atomic():
            customer.is_active = False
            customer.save()
            raise RuntimeError
        client().publish("menu.updated", {"still": "open"}, f"customer:{customer.pk}")
        assert json.loads(socket.recv(timeout=20))["data"] == {"still": "open"}
        kept = tokens("cleo")["access"]
        browser.logout()
        code, reason = closed(socket)
        assert code == 4001 and "revoked" in reason
    # Whoever has kept a token can't use it.
    with tier.socket(path, kept) as socket:
        assert closed(socket)[0] == 4001
    with tier.socket(path, tokens("rita")["access"]) as socket:
        assert closed(socket)[0] == 4003
    with tier.socket(f"/ws/delivery/{people['rider'].pk}", tokens("rita")["access"]) as socket:
        people["rider"].is_active = False
        people["rider"].save()
        assert closed(socket)[0] == 4001


def test_a_grant_opens_a_feed_and_taking_it_back_closes_it(people, tier):
    from platepal_realtime.django.revocation import grant, revoke

    token, other = tokens("cleo")["access"], people["other"].pk
    assert not opens(tier, f"/ws/orders/{other}", token)
    grant(people["customer"].pk, f"restaurant:{other}")
    # What was refused is remembered for a moment.
    until(lambda: opens(tier, f"/ws/orders/{other}", token), "the grant counts")
    with tier.socket(f"/ws/orders/{other}", token) as socket:
        assert revoke(people["customer"].pk, f"restaurant:{other}")
        assert closed(socket)[0] == 4003
    assert not revoke(people["customer"].pk, f"restaurant:{other}")


def test_signing_out_works_without_a_tier(settings_of, nowhere):
    from platepal_realtime.django.revocation import disconnect, sign_out

    settings_of(TARGET=nowhere, TIMEOUT=0.3)
    assert sign_out(7) is False
    assert disconnect(7) is False
