"""Cases 10 and 11: a decoder that crashes or hangs, by itself or by the hand of somebody else."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.abuse.launch import COMMAND, ENVIRONMENT
from tests.abuse.processes import children, heard, server
from tests.abuse.pulse import metric
from tests.server import serving
from tests.server.asking import post, wav
from tests.server.serving import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
DECODERS = 2
#: Enough for a decoder to start and to decode on a slow machine.
SECONDS = 4
FEW = ("--set", f"decoders={DECODERS}", "--set", "workers=2")
HASTY = (*FEW, "--set", f"limits.decode_seconds={SECONDS}")
DEADLY = [signal.SIGSEGV, signal.SIGKILL]
EITHER = pytest.mark.parametrize("sent", DEADLY, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def real():
    """The command as it is."""
    with server(*HASTY) as found:
        yield found


@pytest.fixture(scope="module")
def obedient():
    """One whose decoders do what an upload says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "COMMAND", COMMAND)
        with server(*HASTY, **ENVIRONMENT) as found:
            yield found


def pids(found):
    """The decoders that run; there are as many as there should be."""
    until(lambda: len(children(found.process.pid)) == DECODERS)
    return [int(one) for one in children(found.process.pid)]


def signalled(found, sent):
    for one in pids(found):
        os.kill(one, sent)


def is_over(pid):
    """Whether nothing of a process is left, not even an unread exit status."""
    return not os.path.exists(f"/proc/{pid}")


def is_dead(pid):
    """Whether a process does nothing any more; its parent may not have looked yet."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return True


def in_flight(found):
    return metric(found.port, "in_flight")


def sent_to(pool, found, files):
    return [pool.submit(post, found.port, one) for one in files]


# Case 10 ------------------------------------------------------------------------------------------


def test_case_10_an_upload_that_crashes_its_decoder_fails_alone(obedient):
    files = [b"crash now", wav(0.3), wav(0.5), b"crash again", wav(0.7), b"crash", wav(0.2)]
    before = pids(obedient)
    with ThreadPoolExecutor(len(files)) as pool:
        answers = [one.result() for one in sent_to(pool, obedient, files)]
    for file, answer in zip(files, answers, strict=True):
        if file.startswith(b"crash"):
            assert answer.told == (422, "invalid_audio")
        else:
            assert answer.status == 200, answer.body
    assert set(before).isdisjoint(pids(obedient))
    heard(obedient)


def test_case_10_crashes_one_after_the_other_leave_no_process_behind(obedient):
    for _ in range(3):
        before = pids(obedient)
        assert post(obedient.port, b"crash").told == (422, "invalid_audio")
        assert set(before) - set(pids(obedient))
    assert in_flight(obedient) == 0
    heard(obedient)


@EITHER
def test_case_10_decoders_that_are_ended_while_they_work_cost_nobody_an_answer(real, sent):
    lost = metric(real.port, "decoders_replaced")
    before = pids(real)
    signalled(real, signal.SIGSTOP)  # so that they are at work when they are ended
    with ThreadPoolExecutor(DECODERS) as pool:
        asked = sent_to(pool, real, [wav(2.0)] * DECODERS)
        until(lambda: in_flight(real) == DECODERS)
        for one in before:
            os.kill(one, sent)
            with contextlib.suppress(ProcessLookupError):  # SIGKILL needs no SIGCONT
                os.kill(one, signal.SIGCONT)
        assert [one.result().status for one in asked] == [200] * DECODERS
    assert set(before).isdisjoint(pids(real))
    assert all(is_over(one) for one in before)
    assert metric(real.port, "decoders_replaced") == lost + DECODERS
    heard(real)


@EITHER
def test_case_10_decoders_that_are_ended_while_idle_are_not_missed(real, sent):
    before = pids(real)
    signalled(real, sent)
    until(lambda: all(map(is_dead, before)))
    for _ in range(DECODERS):
        heard(real)
    assert set(before).isdisjoint(pids(real))
    assert all(is_over(one) for one in before)


def test_case_10_whoever_ends_decoders_again_and_again_breaks_nothing(real):
    """One file is tried twice, so that the worst that its client is told is 422."""
    dice = random.Random(10)
    statuses = []
    with ThreadPoolExecutor(3) as pool:
        for _ in range(15):
            asked = sent_to(pool, real, [wav(0.2)] * 3)
            victims = children(real.process.pid)
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(dice.choice(victims)), dice.choice(DEADLY))
            statuses += [one.result().status for one in asked]
    assert set(statuses) <= {200, 422}
    assert statuses.count(200) >= 15
    for _ in range(DECODERS):
        heard(real)
    assert len(pids(real)) == DECODERS
    assert "Traceback" not in real.said


# Case 11 ------------------------------------------------------------------------------------------


def test_case_11_one_that_hangs_is_ended_at_the_limit_and_keeps_nobody_waiting(obedient):
    before = pids(obedient)
    with ThreadPoolExecutor(1) as pool:
        (hanging,) = sent_to(pool, obedient, [b"hang"])
        until(lambda: in_flight(obedient) == 1)
        answered = 0
        while not hanging.done():
            assert post(obedient.port, wav(0.2)).status == 200
            answered += 1
        assert answered > 1, "others are answered meanwhile"
        assert hanging.result().told == (504, "decoder_timeout")
    (victim,) = set(before) - set(pids(obedient))
    assert is_over(victim)
    heard(obedient)


def test_case_11_as_many_as_there_are_decoders_hang_and_the_others_wait_for_them(obedient):
    before = pids(obedient)
    with ThreadPoolExecutor(DECODERS + 3) as pool:
        hanging = sent_to(pool, obedient, [b"hang"] * DECODERS)
        until(lambda: in_flight(obedient) == DECODERS)
        others = sent_to(pool, obedient, [wav(0.2)] * 3)
        assert [one.result().told for one in hanging] == [(504, "decoder_timeout")] * DECODERS
        assert [one.result().status for one in others] == [200] * 3
    assert set(before).isdisjoint(pids(obedient))
    heard(obedient)


def test_case_11_decoders_that_somebody_stopped_are_replaced_at_the_limit(real):
    timeouts = metric(real.port, 'decoders_replaced{reason="timeout"')
    before = pids(real)
    signalled(real, signal.SIGSTOP)
    with ThreadPoolExecutor(DECODERS) as pool:
        asked = sent_to(pool, real, [wav(0.2)] * DECODERS)
        assert [one.result().told for one in asked] == [(504, "decoder_timeout")] * DECODERS
    assert set(before).isdisjoint(pids(real))
    assert all(is_over(one) for one in before)
    assert metric(real.port, 'decoders_replaced{reason="timeout"') == timeouts + DECODERS
    heard(real)


def test_case_11_decoders_that_go_on_before_the_limit_are_kept(real):
    before = pids(real)
    signalled(real, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        (asked,) = sent_to(pool, real, [wav(0.2)])
        until(lambda: in_flight(real) == 1)
        signalled(real, signal.SIGCONT)
        assert asked.result().status == 200
    assert pids(real) == before
    heard(real)
