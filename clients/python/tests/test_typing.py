"""Types of calls: what type checkers are told is what there is."""

import subprocess
import sys
from pathlib import Path

import pytest

from platepal_realtime import AsyncClient, Client
from platepal_realtime.v1 import services

PACKAGE = Path(__file__).resolve().parents[1]


def test_a_type_checker_knows_what_calls_take_and_give():
    pytest.importorskip("mypy", reason="mypy is of the extra `lint`")
    checked = subprocess.run([sys.executable, "-m", "mypy", "tests/typing"], cwd=PACKAGE, capture_output=True, text=True, timeout=100)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("client", "typed"), [(Client, services.Services), (AsyncClient, services.AsyncServices)])
def test_every_service_and_method_of_a_client_has_types_and_no_other(client, typed):
    assert list(typed.__annotations__) == list(services.SERVICES)
    for attribute, name in typed.__annotations__.items():
        methods = [method for method in vars(getattr(services, name)) if not method.startswith("_")]
        assert sorted(methods) == dir(getattr(client(), attribute))
