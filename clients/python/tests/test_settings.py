"""System checks: every mistake at once; and what is allowed but not wise."""

import pytest


@pytest.fixture
def check(db):
    from django.test import override_settings

    from platepal_realtime.django.checks import check_layers, check_settings

    def run(layers=None, **values):
        with override_settings(PLATEPAL_REALTIME=values, CHANNEL_LAYERS=layers or {}):
            return {(message.id.split(".")[1], message.msg) for message in check_settings(None) + check_layers(None)}

    return run


def test_every_mistake_is_reported_and_close_names_are_offered(check):
    found = check(
        TARGT="realtime:50051", TIMEOUT="1s", RELAY="cron", OUTBOX_BATCH=1000, TLS={"certificat": "x"}, ENABLED=1, DATABASE="other",
        CLAIMS="shop.nowhere.claims", FEEDS={"chat": "shop.handlers.mirror", "orders": "shop.handlers.mirror"}, API_KEY="a b",
    )  # fmt: skip
    text = "\n".join(message for _, message in found)
    assert {code for code, _ in found} == {"E001"}
    for part in ("did you mean TARGET", "TIMEOUT: '1s'", "RELAY: 'cron'", "OUTBOX_BATCH: 1000", "TLS: certificat", "ENABLED: 1",
                 "DATABASE: 'other'", "CLAIMS: 'shop.nowhere.claims'", "'orders' is not a feed", "API_KEY: must be"):  # fmt: skip
        assert part in text, part
    assert len(found) >= 10


def test_settings_that_work_are_silent(check):
    assert check(TARGET="127.0.0.1:50051") == set()
    assert check(TARGET="realtime:50051", API_KEY="key", TLS=True) == set()
    assert check(TARGET="realtime:50051", ENABLED=False) == set()


def test_what_works_but_is_not_wise_is_a_warning(check):
    assert {code for code, _ in check(TARGET="realtime:50051")} == {"W002"}
    assert {code for code, _ in check(TARGET="realtime:50051", API_KEY="key")} == {"W003"}


def test_a_layer_that_can_not_work_is_an_error(check):
    backend = "platepal_realtime.layers.RealtimeChannelLayer"
    found = check(layers={"default": {"BACKEND": backend, "CONFIG": {"mod": "x", "mode": "fast", "mirror": True, "capacity": 0}}})
    text = "\n".join(message for _, message in found)
    for part in ("did you mean mode", "mode 'fast'", "mirror needs a delegate", "capacity 0"):
        assert part in text
    assert check(layers={"default": {"BACKEND": backend, "CONFIG": {"delegate": "old"}}, "old": {"BACKEND": "x"}}) == set()


def test_settings_that_can_not_work_stop_the_first_call_with_all_of_it(db):
    from django.test import override_settings

    from platepal_realtime import ConfigurationError
    from platepal_realtime.django import publish

    mistaken = override_settings(PLATEPAL_REALTIME={"TARGET": "http://realtime", "RELAY": "cron"})
    with mistaken, pytest.raises(ConfigurationError) as wrong:
        publish("menu.updated", {}, "admin")
    assert "TARGET" in str(wrong.value) and "RELAY" in str(wrong.value)


def test_manage_py_check_and_realtime_check_say_it(make_site, tier, nowhere):
    assert make_site(tier.target).manage("check").returncode == 0
    refused = make_site(tier.target, NOPE=1, TIMEOUT=-1).manage("check", check=False)
    assert refused.returncode != 0 and "NOPE" in refused.stderr and "TIMEOUT" in refused.stderr
    assert "answered in" in make_site(tier.target).manage("realtime_check").stdout
    away = make_site(nowhere).manage("realtime_check", check=False)
    assert away.returncode != 0 and "check that the tier runs" in away.stderr


def test_migrations_are_complete(db):
    from django.core.management import call_command

    call_command("makemigrations", "platepal_realtime", check=True, dry_run=True, verbosity=0)
