"""What tests are given: the tier and PostgreSQL, started once, and the site on them; Django in this process uses the same servers."""

import itertools
import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "site")]

# First: it prepares gRPC for forks.
import platepal_realtime  # noqa: E402, F401  # isort: skip
from servers import Postgres, Site, Tier, free_port  # noqa: E402

_ids = itertools.count(10_000)


@pytest.fixture
def fresh():
    """Makes ids that no other test uses, so that tests can share a tier."""
    return lambda: next(_ids)


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def tier():
    """A tier that nobody stops; a test that does makes its own (`own_tier`)."""
    server = Tier().start()
    yield server
    server.close()


@pytest.fixture
def own_tier():
    server = Tier()
    yield server
    server.close()


@pytest.fixture(scope="session")
def django(postgres, tier):
    """Django in this process, on PostgreSQL, with the shared tier."""
    os.environ.update(DJANGO_SETTINGS_MODULE="shop.settings", SITE_POSTGRES_PORT=str(postgres.port), SITE_TARGET=tier.target)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    return django


@pytest.fixture
def db(django):
    """Empty tables, before and after."""
    from django.db import connections
    from shop.models import Event, MirroredMessage, Order, Restaurant, User

    from platepal_realtime.django.models import FeedPosition, OutboxEvent, RelayLease

    def clear():
        for model in (OutboxEvent, RelayLease, FeedPosition, MirroredMessage, Order, Event, Restaurant, User):
            model.objects.all().delete()

    clear()
    yield
    clear()
    connections.close_all()


@pytest.fixture
def make_site(db, postgres):
    """Makes sites on the shared database, with the target that the test says."""
    sites = []

    def make(target, **settings):
        site = Site(target, postgres=postgres, **settings)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def make_sqlite_site():
    """The same on a new SQLite database each."""
    sites = []
    with tempfile.TemporaryDirectory(prefix="platepal-python-sqlite-") as folder:

        def make(target, **settings):
            site = Site(target, sqlite=Path(folder) / f"{len(sites)}.sqlite3", **settings)
            sites.append(site)
            site.manage("migrate", "-v", "0")
            return site

        yield make
        for site in sites:
            site.close()


@pytest.fixture
def nowhere():
    """A target at which nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def realtime(db, settings_of):
    """This process's app, on the shared tier."""
    return settings_of()


@pytest.fixture
def settings_of(db, tier):
    """Changes PLATEPAL_REALTIME for a test."""
    from django.conf import settings
    from django.test import override_settings

    active = []

    def change(**values):
        override = override_settings(PLATEPAL_REALTIME={**settings.PLATEPAL_REALTIME, **values})
        override.enable()
        active.append(override)

    yield change
    for override in reversed(active):
        override.disable()
