"""Several processes that train one network: ranks and collectives.

``torchrun --nproc-per-node N -m phonemo train CONFIG`` starts them and passes each its rank in the
environment. With one process everything here is trivial and torch.distributed is not used. Torch is
imported inside functions: the command line reads its rank before it imports torch.
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

#: Variables set by torchrun, with their defaults; libraries take their presence as a sign of
#: several processes.
_ENVIRONMENT = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
#: Delay of a process that reports nothing new before it exits, as torchrun then ends the others.
_SILENT_SECONDS = 3.0
_STORE_SECONDS = 5


class PeerLostError(RunError):
    """Another process is gone; it reports the cause itself."""


@dataclass(frozen=True)
class Rank:
    """A process' number among all (``world``) and among those of its machine (``local``)."""

    number: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.number == 0


_current = Rank()
_joined = 0


def current_rank() -> Rank:
    """Return this process' rank in the running training; that of a single process without one."""
    return _current


def started() -> Rank:
    """Return this process' rank from its environment, before it joins the others.

    RANK and WORLD_SIZE alone, which cluster schedulers set too, are ignored.
    """
    if "LOCAL_RANK" not in os.environ:
        return Rank()
    try:
        values = (int(os.environ.get(name, default)) for name, default in _ENVIRONMENT.items())
        number, world, local, local_world = values
    except ValueError as error:
        raise UsageError(
            f"{', '.join(_ENVIRONMENT)}: expected numbers in the environment; start with torchrun"
        ) from error
    return Rank(number, world, local, local_world)


def refuse_several(command: str) -> None:
    """Refuse commands that several processes cannot share: they would write to one folder."""
    world = started().world
    if world > 1:
        raise UsageError(
            f"phonemo {command}: expected one process, got {world} from torchrun; only phonemo "
            "train supports several, so start this command without torchrun"
        )


@contextmanager
def process_group(wait_minutes: float) -> Iterator[Rank]:
    """Join the processes that torchrun started for the duration of a training.

    Collectives use gloo on CPUs and nccl on GPUs, with one GPU per process. Only the first process
    shows warnings, which are the same in all.

    Args:
        wait_minutes: time limit for waiting for another process.

    Raises:
        RunError: another process ended or timed out.
        ConfigError: a machine has fewer GPUs than processes.
    """
    global _current
    rank = started()
    if _current.world > 1:  # already joined by a caller
        yield _current
        return
    if rank.world == 1:
        with _hide_torchrun():
            yield rank
        return
    with _peer_lost(), ExitStack() as stack:
        _begin(rank, wait_minutes)
        _current = rank
        stack.push(_end)
        if not rank.first:
            stack.enter_context(_hide_warnings())
        yield rank


def on_main_process(
    function: Callable[Parameters, Value], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Value:
    """Call a function in the first process only; all processes get its result or its error.

    This is a collective, which every process must call. Use it for actions to be done once
    (writing) and for state that must be the same in all (such as files).

    Args:
        function: the function.
        args: its positional arguments; ``kwargs`` are its keyword arguments.
    """
    if _current.world == 1:
        return function(*args, **kwargs)
    import torch.distributed as dist

    outcome: list[Any] = [None, None]
    if _current.first:
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
    """Return the values of all processes, in the order of their ranks."""
    if _current.world == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * _current.world
    dist.all_gather_object(values, value)
    return values


def summed(values: Tensor) -> Tensor:
    """Return the elementwise sum over all processes; the argument is not modified."""
    if _current.world == 1:
        return values
    import torch.distributed as dist

    total = values.clone()
    dist.all_reduce(total)
    return total


@contextmanager
def log_error_once() -> Iterator[None]:
    """Report an error that occurs in several processes only once.

    The other processes exit silently with the same code. If they cannot communicate, all report it.
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

    stores: Any = dist  # its store classes are not declared as exports
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
    # if this is unset, accelerate overrides the config's number of torch threads
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    timeout = timedelta(minutes=wait_minutes)
    global _joined
    _joined += 1
    store, number, world = next(stores.rendezvous("env://", timeout=timeout))
    # a new prefix each time: keys of an earlier group would lead to processes that have ended
    own = stores.PrefixStore(f"{_joined}", store)
    dist.init_process_group(backend, store=own, rank=number, world_size=world, timeout=timeout)


def _end(kind: type[BaseException] | None, *rest: Any) -> None:
    global _current
    import torch.distributed as dist

    _current = Rank()
    group = dist.group.WORLD
    # after an error nccl would wait here for the other processes; this process ends anyway
    if kind is None or dist.get_backend() == "gloo":
        dist.destroy_process_group()
    # The trainer, a reference cycle, keeps the group and its threads alive. A thread that takes
    # the GIL while the interpreter shuts down aborts the process (pytorch issue 190489). Dropping
    # the last reference ends the threads. It must be the name below, which releases the GIL
    # meanwhile; the trainer would hold the GIL and deadlock with threads that need it.
    gc.collect()
    del group


@contextmanager
def _hide_torchrun() -> Iterator[None]:
    """Remove torchrun's variables for a single process: accelerate would act on them."""
    kept = {name: os.environ.pop(name) for name in _ENVIRONMENT if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _hide_warnings() -> Iterator[None]:
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
    """Convert the errors that torch.distributed raises for a lost process to PeerLostError."""
    try:
        yield
    except RuntimeError as error:
        import torch.distributed as dist

        # gloo raises plain RuntimeErrors that begin with a path in its source
        if not isinstance(error, dist.DistError) and "gloo/" not in str(error):
            raise
        raise PeerLostError(
            f"rank {started().number}: another process of this training ended or timed out; "
            "run the same command again to resume from the newest checkpoint"
        ) from error


def _logged_elsewhere(error: Exception) -> bool:
    """Look up in torchrun's store, which outlives each process, whether another reports this."""
    if started().world == 1 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return False
    import torch.distributed as dist

    stores: Any = dist
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        timeout = timedelta(seconds=_STORE_SECONDS)
        store = stores.TCPStore(host, port, is_master=False, timeout=timeout)
        lost = isinstance(error, PeerLostError)
        if lost:  # the lost process may be about to report the cause
            time.sleep(_SILENT_SECONDS)
        reasons = store.add(f"{_attempt()}/reasons", 0 if lost else 1)
        if lost and reasons:
            return True
        line = hashlib.sha256(("lost" if lost else str(error)).encode()).hexdigest()
        return bool(store.add(f"{_attempt()}/{line}", 1) > 1)
    except (KeyError, ValueError, RuntimeError):
        return False


def _attempt() -> str:
    """Return the key prefix: after a restart (--max-restarts), torchrun keeps the store."""
    return f"phonemo/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
