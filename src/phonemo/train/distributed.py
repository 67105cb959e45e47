"""Several processes that train one network: which is which, and what they tell each other.

``torchrun --nproc-per-node N -m phonemo train CONFIG`` starts them and says in the environment who
each is; torch's word for that is its rank. With one process everything here is trivial and
torch.distributed is not touched. Torch is imported inside functions: the command line asks here
who it is before it imports torch.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from phonemo.errors import ConfigError, PhonemoError, RunError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")
Parameters = ParamSpec("Parameters")

#: What torchrun sets, with what it means where it is not set; libraries take its presence for a
#: sign that they are one of several.
_ENVIRONMENT = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
#: How long who has nothing new to say leaves the floor to who says it: torchrun ends all at once.
_SILENT_SECONDS = 3.0
_STORE_SECONDS = 5


class PeerLostError(RunError):
    """Another process is gone; what it died of is its own to say."""


@dataclass(frozen=True)
class Rank:
    """Which process this is, among all (``world``) and among those of this machine (``local``)."""

    number: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.number == 0


_here = Rank()
_joined = 0


def current_rank() -> Rank:
    """Who this process is in the training that goes on; the only one where none was joined."""
    return _here


def started() -> Rank:
    """Who this process is by its environment, before it has joined the others.

    What schedulers of clusters set besides (RANK and WORLD_SIZE alone) starts nothing here.
    """
    if "LOCAL_RANK" not in os.environ:
        return Rank()
    try:
        found = (int(os.environ.get(name, given)) for name, given in _ENVIRONMENT.items())
        number, world, local, local_world = found
    except ValueError as error:
        raise UsageError(
            f"{', '.join(_ENVIRONMENT)} of the environment are no numbers; start with torchrun"
        ) from error
    return Rank(number, world, local, local_world)


def refuse_several(command: str) -> None:
    """One line instead of N processes that write into one folder."""
    world = started().world
    if world > 1:
        raise UsageError(
            f"phonemo {command} works in one process, and torchrun started {world}; only phonemo "
            "train works in several: start this one without torchrun"
        )


@contextmanager
def process_group(wait_minutes: float) -> Iterator[Rank]:
    """Be one of the processes that torchrun started, for as long as a training goes on.

    Collectives are gloo's on CPUs and nccl's on GPUs, one GPU a process. All but the first
    process give no warnings: those of the first are everyone's.

    Args:
        wait_minutes: how long one waits for another before it gives up.

    Raises:
        RunError: another process ended, or did not answer in time.
        ConfigError: a machine has fewer GPUs than processes.
    """
    global _here
    rank = started()
    if _here.world > 1:  # joined already, around this
        yield _here
        return
    if rank.world == 1:
        with _hide_torchrun():
            yield rank
        return
    with _peer_lost(), ExitStack() as stack:
        _begin(rank, wait_minutes)
        _here = rank
        stack.push(_end)
        if not rank.first:
            stack.enter_context(_silenced())
        yield rank


def on_main_process(
    function: Callable[Parameters, Value], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Value:
    """Call a function in the first process; its result, or its error, is that of all processes.

    A collective: every process has to come here. For what must be done once (writing) or has to
    look alike to all (what is on a disk).

    Args:
        function: called in the first process alone.
        args: of the call, ``kwargs`` too.
    """
    if _here.world == 1:
        return function(*args, **kwargs)
    import torch.distributed as dist

    outcome: list[Any] = [None, None]
    if _here.first:
        try:
            outcome[0] = function(*args, **kwargs)
        except (PhonemoError, OSError) as error:
            outcome[1] = error
    own = outcome[1]
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise own or outcome[1]
    result: Value = outcome[0]
    return result


def gathered(value: Value) -> list[Value]:
    """What each process has, in the order of their ranks; all get it."""
    if _here.world == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * _here.world
    dist.all_gather_object(found, value)
    return found


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, element by element; the argument stays as it is."""
    if _here.world == 1:
        return values
    import torch.distributed as dist

    total = values.clone()
    dist.all_reduce(total)
    return total


@contextmanager
def log_error_once() -> Iterator[None]:
    """An error that several processes meet alike leaves this in one of them alone.

    The others end with its exit code, in silence. Where they cannot ask each other, all speak.
    """
    try:
        yield
    except (PhonemoError, OSError) as error:
        if _logged_elsewhere(error):
            time.sleep(_SILENT_SECONDS)
            raise SystemExit(getattr(error, "exit_code", 1)) from error
        raise
    except KeyboardInterrupt as error:
        if not started().first:
            raise SystemExit(130) from error
        raise


def _begin(rank: Rank, wait_minutes: float) -> None:
    import torch
    import torch.distributed as dist

    stores: Any = dist  # which does not list them among what it exports
    backend = "gloo"
    if torch.cuda.is_available():
        if rank.local >= torch.cuda.device_count():
            raise ConfigError(
                f"{rank.local_world} processes on a machine with {torch.cuda.device_count()} GPUs;"
                " start one for each GPU (--nproc-per-node), or hide the GPUs to train on the CPU:"
                " CUDA_VISIBLE_DEVICES="
            )
        torch.cuda.set_device(rank.local)
        backend = "cpu:gloo,cuda:nccl"
    # accelerate would set torch's threads, whatever the config says, where this is not set
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    timeout = timedelta(minutes=wait_minutes)
    global _joined
    _joined += 1
    store, number, world = next(stores.rendezvous("env://", timeout=timeout))
    # each time a store of its own: the keys of the last time would lead to processes long gone
    own = stores.PrefixStore(f"{_joined}", store)
    dist.init_process_group(backend, store=own, rank=number, world_size=world, timeout=timeout)


def _end(kind: type[BaseException] | None, *rest: Any) -> None:
    global _here
    import torch.distributed as dist

    _here = Rank()
    group = dist.group.WORLD
    # after an error nccl would wait here for what the others never send; the process ends anyway
    if kind is None or dist.get_backend() == "gloo":
        dist.destroy_process_group()
    # The group lives on in the trainer, which refers to itself, and its threads with it. One of
    # them that asks for the interpreter while that ends aborts the process (pytorch, 190489).
    # They are ended by whoever refers to the group last: that is to be this name, as it alone lets
    # go of the interpreter meanwhile. The trainer would wait with it for threads that want it.
    gc.collect()
    del group


@contextmanager
def _hide_torchrun() -> Iterator[None]:
    """One process of torchrun is no different from none: accelerate looks for its variables."""
    kept = {name: os.environ.pop(name) for name in _ENVIRONMENT if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _silenced() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _peer_lost() -> Iterator[None]:
    """What torch.distributed raises where another process is gone, in one line."""
    try:
        yield
    except RuntimeError as error:
        import torch.distributed as dist

        # gloo's own errors are plain RuntimeErrors that begin with their place in its source
        if not isinstance(error, dist.DistError) and "gloo/" not in str(error):
            raise
        raise PeerLostError(
            f"rank {started().number}: another process of this training ended or did not answer; "
            "run the same command again to go on from the newest checkpoint"
        ) from error


def _logged_elsewhere(error: Exception) -> bool:
    """Ask at torchrun's own store, which outlives each of us, who says this."""
    if started().world == 1 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return False
    import torch.distributed as dist

    stores: Any = dist
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        timeout = timedelta(seconds=_STORE_SECONDS)
        store = stores.TCPStore(host, port, is_master=False, timeout=timeout)
        lost = isinstance(error, PeerLostError)
        if lost:  # whoever is gone may be about to say why
            time.sleep(_SILENT_SECONDS)
        reasons = store.add(f"{_attempt()}/reasons", 0 if lost else 1)
        if lost and reasons:
            return True
        line = hashlib.sha256(("lost" if lost else str(error)).encode()).hexdigest()
        return bool(store.add(f"{_attempt()}/{line}", 1) > 1)
    except (KeyError, ValueError, RuntimeError):
        return False


def _attempt() -> str:
    """Begins the store's keys: torchrun may start all again (--max-restarts), with that store."""
    return f"phonemo/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
