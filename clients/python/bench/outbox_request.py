"""What `publish_on_commit` adds to a request: milliseconds, as the rows of a table.

    PLATEPAL_REALTIME_BINARY=… python bench/outbox_request.py [--rounds 9]

A view writes a row in a transaction on PostgreSQL (which syncs) and serialises it; every other request also publishes it to two channels.
Requests with and without take turns one by one, so that what else the machine does meets both; what is added is the difference between
the two at the same percentile, of one round. gunicorn, PostgreSQL, a relay and the tier run on this machine, as does what asks.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests")]

from servers import Postgres, Site, Tier  # noqa: E402

#: Requests of one round, half of them with `publish_on_commit`.
REQUESTS = 2_000


def ask(connection, number):
    """Milliseconds of one request."""
    body = json.dumps({"customer": number % 50, "restaurant": number % 10, "publish": bool(number % 2)})
    started = time.perf_counter()
    connection.request("POST", "/place", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    return (time.perf_counter() - started) * 1_000


def one_round(address, at_once):
    """Milliseconds of requests without and with."""
    found = ([], [])

    def some():
        connection = http.client.HTTPConnection(address)
        for number in range(REQUESTS // at_once):
            found[number % 2].append(ask(connection, number))
        connection.close()

    threads = [threading.Thread(target=some) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    tier, postgres = Tier().start(), Postgres(fsync="on")
    site = Site(tier.target, postgres=postgres)
    try:
        site.manage("migrate", "-v", "0")
        _, url = site.gunicorn(workers=2, threads=2, SITE_CONN_MAX_AGE="60")
        site.relay()
        address = url.removeprefix("http://")
        print("| requests at once | percentile | without | with | added: median | least | greatest |")
        print("|---|---|---|---|---|---|---|")
        for at_once in (1, 4):
            one_round(address, at_once)
            measured = [one_round(address, at_once) for _ in range(rounds)]
            for share in (0.5, 0.9, 0.99):
                pairs = [(percentile(without, share), percentile(together, share)) for without, together in measured]
                added = [b - a for a, b in pairs]
                without, together = (statistics.median(values) for values in zip(*pairs))
                found = f"{statistics.median(added):.2f} | {min(added):.2f} | {max(added):.2f}"
                print(f"| {at_once} | {share:.0%} | {without:.2f} ms | {together:.2f} ms | {found} |", flush=True)
    finally:
        site.close()
        postgres.close()
        tier.close()


if __name__ == "__main__":
    main()
