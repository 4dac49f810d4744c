"""Real servers for the tests: the tier, PostgreSQL, the site under manage.py, gunicorn, Uvicorn and Celery.

Invariant: hides ports, waiting and cleaning up, never behaviour. Nothing here sleeps for a time and hopes: it looks until a condition
holds, or fails with what the processes printed.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import jwt
from websockets.sync.client import connect

from platepal_realtime import Client

HERE = Path(__file__).resolve().parent
SITE = HERE / "site"
SECRET = "a-secret-of-tests-and-of-nothing-else"
API_KEY = "a-key-of-tests-and-of-nothing-else"
ORIGIN = "http://localhost:3000"
#: Seconds for which a condition is waited for.
PATIENCE = 40.0


def until(condition, what="the condition holds", patience=PATIENCE):
    """Looks until a condition gives something true, and returns that."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain until {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (OSError, urllib.error.URLError):
        return False


def post(url, body=None, timeout=30):
    """Status and JSON of a POST."""
    request = urllib.request.Request(url, json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


class Process:
    """A child with all of its own children; its output goes to a file."""

    def __init__(self, name, command, env=None, cwd=None, user=None):
        self.name = name
        self.output_path = Path(tempfile.mkdtemp(prefix="platepal-python-")) / "output"
        with self.output_path.open("wb") as output:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
            )

    @property
    def output(self):
        return self.output_path.read_text(errors="replace")

    def wait_until(self, condition, what):
        def look():
            if self.child.poll() is not None and not condition():
                raise AssertionError(f"{self.name} ended ({self.child.returncode}) before {what}:\n{self.output}")
            return condition()

        try:
            return until(look, what)
        except AssertionError as why:
            raise AssertionError(f"{why}\n{self.name} printed:\n{self.output}") from None

    def signal(self, number):
        os.killpg(self.child.pid, number)

    def kill(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def terminate(self):
        if self.child.poll() is None:
            self.child.terminate()
        return self.child.wait(timeout=PATIENCE)

    def close(self):
        self.kill()
        shutil.rmtree(self.output_path.parent, ignore_errors=True)


class Tier:
    """Every role in one process, with ports and data that outlive restarts."""

    def __init__(self, **environment):
        self.http, self.grpc, self.admin = free_port(), free_port(), free_port()
        self.data = tempfile.mkdtemp(prefix="platepal-python-tier-")
        self.environment = {
            "REALTIME_JWT_SECRET": SECRET,
            "REALTIME_API_KEYS": f"tests={API_KEY}",
            "REALTIME_ALLOWED_ORIGINS": ORIGIN,
            "REALTIME_NOTIFICATIONS_PRODUCE": "false",
            "NO_COLOR": "1",
            "REALTIME_HTTP_ADDR": f"127.0.0.1:{self.http}",
            "REALTIME_GRPC_ADDR": f"127.0.0.1:{self.grpc}",
            "REALTIME_ADMIN_ADDR": f"127.0.0.1:{self.admin}",
            "REALTIME_DATA_DIR": self.data,
            **environment,
        }
        self.process = None
        self.client = Client(target=self.target, api_key=API_KEY, timeout=10, breaker_failures=0)

    @property
    def target(self):
        return f"127.0.0.1:{self.grpc}"

    def start(self):
        own = {name: value for name, value in os.environ.items() if not name.startswith("REALTIME_")}
        self.process = Process("the tier", [binary()], env={**own, **self.environment})
        self.process.wait_until(lambda: answers(f"http://127.0.0.1:{self.admin}/readyz"), "the tier is ready")
        return self

    def kill(self):
        if self.process is not None:
            self.process.close()
            self.process = None

    def close(self):
        self.kill()
        self.client.close()
        shutil.rmtree(self.data, ignore_errors=True)

    def log(self, channel):
        """Everything that a channel has kept, oldest first."""
        entries, after = [], None
        while True:
            request = {"channel": channel, "limit": 1000, **({"after": after} if after else {})}
            page = list(self.client.events.Read(**request).entries)
            entries += page
            if len(page) < 1000:
                return entries
            after = page[-1].position

    def payloads(self, channel):
        return [json.loads(entry.event.payload) for entry in self.log(channel)]

    def token(self, user_id, **claims):
        """An access token as Django makes it."""
        now = int(time.time())
        claims = {"token_type": "access", "exp": now + 3600, "iat": now, "jti": uuid.uuid4().hex, "user_id": user_id, **claims}
        return jwt.encode(claims, SECRET, algorithm="HS256")

    def socket(self, path, token):
        """A socket as a browser opens it."""
        return connect(f"ws://127.0.0.1:{self.http}{path}?token={token}", origin=ORIGIN)


def binary():
    """The tier's binary: PLATEPAL_REALTIME_BINARY, or what cargo has built in this checkout."""
    chosen = os.environ.get("PLATEPAL_REALTIME_BINARY")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parents[2] / "target")
    for path in [Path(chosen)] if chosen else [target / "debug/platepal-realtime", target / "release/platepal-realtime"]:
        if path.is_file():
            return path
    raise AssertionError("the tier is not built: `cargo build -p platepal-realtime`, or set PLATEPAL_REALTIME_BINARY to the binary's path")


class Postgres:
    """A cluster of one's own; it runs as `postgres` when the tests run as root, which PostgreSQL refuses to."""

    def __init__(self, fsync="off"):
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="platepal-python-postgres-"))
        self.user = None
        if os.getuid() == 0:
            self.user = "postgres"
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        cluster = self.folder / "cluster"
        made = Process(
            "initdb",
            [_postgres("initdb"), "--no-sync", "--no-instructions", "--auth=trust", "--username=platepal", "--encoding=UTF8",
             "--locale=C", "-D", cluster],
            cwd=self.folder,
            user=self.user,
        )  # fmt: skip
        assert made.child.wait(PATIENCE) == 0, made.output
        made.close()
        command = [_postgres("postgres"), "-D", cluster, "-p", self.port, "-k", self.folder]
        for setting in ("listen_addresses=127.0.0.1", f"fsync={fsync}", "max_connections=100", "shared_buffers=32MB"):
            command += ["-c", setting]
        self.process = Process("postgres", command, cwd=self.folder, user=self.user)
        status = cluster / "postmaster.pid"
        self.process.wait_until(lambda: status.is_file() and "ready" in status.read_text(), "PostgreSQL is ready")

    def close(self):
        self.process.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _postgres(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, "PostgreSQL is not installed; `cargo xtask install` installs it"
    return path


class Site:
    """The Django project of these tests, in processes of its own."""

    def __init__(self, target, *, postgres=None, sqlite=None, layer=None, **realtime):
        self.processes = []
        self.folder = Path(tempfile.mkdtemp(prefix="platepal-python-site-"))
        for name in ("queue", "control"):
            (self.folder / name).mkdir()
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": str(SITE),
            "PYTHONUNBUFFERED": "1",
            "SITE_TARGET": target,
            "SITE_BROKER": str(self.folder),
            "SITE_LAYER": json.dumps(layer or {}),
            "SITE_REALTIME": json.dumps(realtime),
        }
        self.env.pop("SITE_SQLITE", None)
        if sqlite:
            self.env["SITE_SQLITE"] = str(sqlite)
        else:
            self.env["SITE_POSTGRES_PORT"] = str(postgres.port)

    def manage(self, *arguments, check=True, **environment):
        """A command of manage.py that ends by itself."""
        done = subprocess.run(
            [sys.executable, SITE / "manage.py", *map(str, arguments)],
            env={**self.env, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, name, *command, **environment):
        process = Process(name, command, env={**self.env, **environment}, cwd=SITE)
        self.processes.append(process)
        return process

    def relay(self):
        process = self.start("relay", sys.executable, SITE / "manage.py", "realtime_relay")
        process.wait_until(lambda: "relaying to" in process.output, "the relay runs")
        return process

    def feed(self, name, **environment):
        return self.start(f"feed {name}", sys.executable, SITE / "manage.py", "realtime_feed", name, **environment)

    def gunicorn(self, workers=2, threads=1, **environment):
        """`(process, url)`"""
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "shop.wsgi", "-b", f"127.0.0.1:{port}", "-w", workers, "--threads", threads,
                   "--preload", "--log-level", "warning"]  # fmt: skip
        return self._web("gunicorn", port, command, environment)

    def uvicorn(self):
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "shop.asgi:application", "--port", port, "--log-level", "warning"]
        return self._web("uvicorn", port, command, {})

    def _web(self, name, port, command, environment):
        process = self.start(name, *command, **environment)
        url = f"http://127.0.0.1:{port}"
        process.wait_until(lambda: answers(f"{url}/realtime/health"), f"{name} answers")
        return process, url

    def celery(self, concurrency=2):
        process = self.start(
            "celery", sys.executable, "-m", "celery", "-A", "shop", "worker", "-P", "prefork", "-c", concurrency,
            "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "info",
        )  # fmt: skip
        process.wait_until(lambda: "ready." in process.output, "Celery is ready")
        return process

    def close(self):
        for process in self.processes:
            process.close()
        shutil.rmtree(self.folder, ignore_errors=True)
