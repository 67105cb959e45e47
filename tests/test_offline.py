"""The offline guard of tests/conftest.py."""

from __future__ import annotations

import os
import random
import socket

import numpy as np
import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_no_test_can_reach_the_network(host):
    with pytest.raises(RuntimeError, match="offline"):
        socket.create_connection((host, 80), timeout=0.1)
    with socket.socket() as sock, pytest.raises(RuntimeError, match="offline"):
        sock.connect((host, 80))
    with socket.socket() as sock, pytest.raises(RuntimeError, match="offline"):
        sock.connect_ex((host, 80))


def test_this_machine_can_be_reached():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_hub_libraries_are_set_offline():
    assert (os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_OFFLINE"]) == ("1", "1")


@pytest.mark.parametrize("_again", [1, 2])
def test_every_test_starts_from_the_same_seed(_again):
    random_now, numpy_now = random.random(), np.random.rand()
    random.seed(0)
    np.random.seed(0)
    assert (random_now, numpy_now) == (random.random(), np.random.rand())
