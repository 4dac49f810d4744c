"""`group_send` of this package next to channels-redis: messages a second, and the ratio, as the rows of a table.

    pip install channels-redis; PLATEPAL_REALTIME_BINARY=… python bench/group_send.py [--rounds 9]

Both are measured on this machine, against servers that this starts, in the two ways in which Django sends: one message after the other from
sync code (`async_to_sync`, a new event loop each time), and many at once from async code. They take turns in every round, the first one
first in every other, and a round's ratio is of its own two rates: what else the machine does meets both. They do not promise the same:
Redis has a message in memory for the consumers of that moment; here the answer comes when the message is on disk and can be replayed.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "site")]

import platepal_realtime  # noqa: E402, F401  # isort: skip
from servers import Process, Tier, free_port  # noqa: E402

#: Messages that async code has on their way at once.
AT_ONCE = 50
#: About as long as a serialised order.
MESSAGE = {"type": "menu_updated", "data": {"text": "x" * 2_000}}
#: Groups that are written to in turn.
GROUPS = [f"customer_{n}" for n in range(20)]


def sync_rate(layer, groups, messages):
    from asgiref.sync import async_to_sync

    send = async_to_sync(layer.group_send)
    started = time.perf_counter()
    for n in range(messages):
        send(groups[n % len(groups)], MESSAGE)
    return messages / (time.perf_counter() - started)


def async_rate(layer, groups, messages):
    async def run():
        room = asyncio.Semaphore(AT_ONCE)

        async def send(n):
            async with room:
                await layer.group_send(groups[n % len(groups)], MESSAGE)

        started = time.perf_counter()
        await asyncio.gather(*(send(n) for n in range(messages)))
        return messages / (time.perf_counter() - started)

    return asyncio.run(run())


#: What is measured: its name, how, to which groups, with so many messages a round.
CASES = (
    ("sync, one after the other", sync_rate, GROUPS, 500),
    (f"async, {AT_ONCE} at once, to {len(GROUPS)} groups", async_rate, GROUPS, 2_000),
    (f"async, {AT_ONCE} at once, all to one group", async_rate, GROUPS[:1], 1_000),
)


def redis_layer(port):
    from channels_redis.core import RedisChannelLayer

    return RedisChannelLayer(hosts=[("127.0.0.1", port)], capacity=1_000_000)


async def one_reader(layer):
    """Without a member a group's message goes nowhere, and costs nothing."""
    for group in GROUPS:
        await layer.group_add(group, await layer.new_channel())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is not installed (Debian's package of that name has it)")
    tier, port, folder = Tier().start(), free_port(), tempfile.mkdtemp()
    redis = Process("redis", ["redis-server", "--port", port, "--save", "", "--dir", folder])
    try:
        redis.wait_until(lambda: "Ready to accept connections" in redis.output, "Redis is ready")
        os.environ.update(DJANGO_SETTINGS_MODULE="shop.settings", SITE_SQLITE=":memory:", SITE_TARGET=tier.target)
        import django

        django.setup()
        from platepal_realtime.layers import RealtimeChannelLayer

        ours = RealtimeChannelLayer(mode="direct", timeout=30)
        asyncio.run(one_reader(redis_layer(port)))
        print("| messages a second, medians | this tier | channels-redis | ratio: median | least | greatest |")
        print("|---|---|---|---|---|---|")
        for name, rate, groups, messages in CASES:
            layers = {"own": lambda: ours, "other": lambda: redis_layer(port)}
            pairs = []
            for number in range(-1, rounds):
                order = sorted(layers, reverse=number % 2 == 0)
                rates = {one: rate(layers[one](), groups, messages) for one in order}
                pairs.append((rates["own"], rates["other"]))
            # The first round opens connections.
            del pairs[0]
            ratios = [a / b for a, b in pairs]
            rates = [statistics.median(rates) for rates in zip(*pairs)]
            found = f"{statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f}"
            print(f"| {name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {found} |", flush=True)
    finally:
        redis.close()
        tier.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
