"""The examples in docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["events", "options", "client", "layers"])
def test_the_examples_of_a_module_hold(django, name):
    module = importlib.import_module(f"platepal_realtime.{name}")
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
