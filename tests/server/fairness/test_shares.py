"""Places are shared: a client with many yields one to a client with fewer."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from phonemo.server.api_errors import ApiError
from phonemo.server.fairness.audio_budget import AudioBudget
from phonemo.server.fairness.client_turns import FairQueue
from phonemo.server.fairness.clients import CLIENT, client_of, network_of
from phonemo.server.fairness.shares import FairShares


def full(shares):
    return ApiError(429, "full", f"{shares.in_use} are in use")


@pytest.fixture
def places():
    """Held until the end of the test."""
    with contextlib.ExitStack() as stack:

        def hold(shares, client, worth=None):
            yielded = []
            stack.enter_context(shares.slot(client, lambda: yielded.append(client), worth))
            return yielded

        yield hold


def test_a_single_client_may_hold_all_places(places):
    shares = FairShares(4, full)
    for _ in range(4):
        places(shares, "a")
    with pytest.raises(ApiError), shares.slot("a"):
        pass
    assert shares.in_use == 4


def test_the_client_with_most_places_yields_the_one_that_is_worth_least(places):
    shares = FairShares(3, full)
    held = [places(shares, "a", lambda worth=worth: worth) for worth in (2.0, 1.0, 3.0)]
    places(shares, "b")
    assert held == [[], ["a"], []]
    assert (shares.in_use, shares.clients) == (3, 2)


def test_by_default_the_newest_place_yields(places):
    shares = FairShares(3, full)
    held = [places(shares, "a") for _ in range(3)]
    places(shares, "b")
    assert held == [[], [], ["a"]]


def test_places_are_divided_evenly_and_no_further(places):
    shares = FairShares(4, full)
    for _ in range(4):
        places(shares, "a")
    places(shares, "b")
    places(shares, "b")
    for client in ("a", "b"):
        with pytest.raises(ApiError), shares.slot(client):
            pass
    places(shares, "c")
    assert shares.in_use == 4


def test_a_place_that_cannot_yield_is_kept(places):
    shares = FairShares(1, full)
    with shares.slot("a"), pytest.raises(ApiError), shares.slot("b", lambda: None):
        pass


def test_a_task_whose_place_yields_gets_the_refusal_and_no_other_task_is_cancelled():
    async def act():
        shares = FairShares(2, full)

        async def hold(client):
            with shares.task_slot(client):
                await asyncio.sleep(3600)

        first, second = (asyncio.ensure_future(hold("a")) for _ in range(2))
        await asyncio.sleep(0)
        third = asyncio.ensure_future(hold("b"))
        with pytest.raises(ApiError):
            await second
        assert not first.done()
        assert not third.done()
        for task in (first, third):
            task.cancel()
        ends = await asyncio.gather(first, third, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ends)
        assert shares.in_use == 0

    asyncio.run(act())


# Turns --------------------------------------------------------------------------------------------


def test_clients_take_turns_whatever_each_has_queued():
    queue = FairQueue()
    for number in range(3):
        queue.put("a", f"a{number}")
    queue.put("b", "b0")
    queue.put("c", "c0")
    assert [queue.take() for _ in range(5)] == ["a0", "b0", "c0", "a1", "a2"]
    with pytest.raises(IndexError):
        queue.take()


def test_an_unfinished_item_comes_before_its_client_s_others_and_after_other_clients():
    queue = FairQueue()
    for client, item in (("a", "a0"), ("a", "a1"), ("b", "b0")):
        queue.put(client, item)
    queue.put_back("a", queue.take())
    assert [queue.take() for _ in range(3)] == ["b0", "a0", "a1"]


def test_dropped_items_leave_no_empty_line():
    queue = FairQueue()
    queue.put("a", 1)
    queue.put("b", 2)
    queue.keep(lambda item: item == 2)
    assert (list(queue), len(queue), queue.peek()) == ([2], 1, 2)


# Memory -------------------------------------------------------------------------------------------


def test_the_budget_is_never_exceeded_and_clients_take_turns():
    async def act():
        budget, order, used = AudioBudget(100), [], []

        async def work(client, size):
            CLIENT.set(client)
            with budget.lease() as lease:
                await lease.reserve(size)
                order.append(client)
                used.append(budget.used)
                await asyncio.sleep(0)

        names = ["a", "a", "a", "b", "c"]
        await asyncio.gather(*(work(client, 60) for client in names))
        assert (order, max(used), budget.used) == (["a", "a", "b", "c", "a"], 60, 0)

    asyncio.run(act())


def test_a_recording_larger_than_the_budget_is_processed_alone():
    async def act():
        budget = AudioBudget(100)
        with budget.lease() as lease:
            await lease.reserve(1000)
            assert budget.used == 100

    asyncio.run(act())


def test_a_request_that_leaves_while_it_waits_takes_nothing():
    async def act():
        budget = AudioBudget(100)
        with budget.lease() as lease:
            await lease.reserve(100)
            waiting = asyncio.ensure_future(budget.take(50))
            await asyncio.sleep(0)
            assert budget.waiting == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert (budget.used, budget.waiting) == (0, 0)

    asyncio.run(act())


def test_a_request_that_leaves_at_the_moment_of_its_grant_returns_the_bytes():
    async def act():
        budget = AudioBudget(100)
        await budget.take(100)
        waiting = asyncio.ensure_future(budget.take(50))
        await asyncio.sleep(0)
        budget.give_back(100)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert budget.used == 0

    asyncio.run(act())


def test_requests_that_leave_together_return_all_bytes():
    """One that is cancelled but has not run yet is granted nothing."""

    async def act():
        budget = AudioBudget(100)

        async def work(size):
            with budget.lease() as lease:
                await lease.reserve(size)
                await asyncio.Event().wait()

        tasks = [asyncio.ensure_future(work(size)) for size in (80, 50)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (budget.used, budget.waiting) == (80, 1)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
        assert (budget.used, budget.waiting) == (0, 0)

    asyncio.run(act())


# Clients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.2", "127.0.0.2"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "other"),
        ("", "other"),
    ],
)
def test_an_address_is_one_client_and_so_is_a_network_of_ipv6(address, network):
    assert network_of(address) == network


KEY = "k" * 43


@pytest.mark.parametrize(
    ("proxies", "headers", "client"),
    [
        ([], {}, "10.0.0.9"),
        ([], {"x-forwarded-for": "1.2.3.4"}, "10.0.0.9"),
        (["10.0.0.9"], {"x-forwarded-for": "6.6.6.6, 1.2.3.4"}, "1.2.3.4"),
        (["10.0.0.9", "1.2.3.4"], {"x-forwarded-for": "6.6.6.6, 1.2.3.4"}, "6.6.6.6"),
        (["10.0.0.9"], {"x-forwarded-for": "nonsense"}, "other"),
        (["10.0.0.9"], {}, "10.0.0.9"),
    ],
)
def test_only_a_listed_proxy_names_its_client(proxies, headers, client):
    assert client_of(connection(headers), policy(proxies=proxies)) == client


def test_a_listed_proxy_of_ipv4_is_known_on_a_socket_for_both():
    found = connection({"x-forwarded-for": "1.2.3.4"})
    found.scope["client"] = ("::ffff:10.0.0.9", 5)
    assert client_of(found, policy(proxies=["10.0.0.9"])) == "1.2.3.4"


def test_with_keys_a_client_is_a_valid_key():
    from phonemo.server.auth import digest_of

    keys = policy(keys=[digest_of(KEY)])
    named = client_of(connection({"authorization": f"Bearer {KEY}"}), keys)
    assert named == f"key {digest_of(KEY)}"
    assert client_of(connection({"authorization": "Bearer other"}), keys) == "10.0.0.9"


def policy(**rules):
    from phonemo.server.auth import AccessPolicy
    from phonemo.server.settings import ServeAccess

    return AccessPolicy(ServeAccess.model_validate(rules), "0.0.0.0")


def connection(headers):
    from starlette.requests import HTTPConnection

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw, "client": ("10.0.0.9", 1)})
