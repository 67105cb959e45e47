"""The engine of one machine: processes, each with the model, that hear parts.

The engine of one machine or many: Ray Data, whose actors hold a model each and hear parts.
"""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from phonemo.batch.job import BatchOptions, ExecutorOptions, PartStats
from phonemo.batch.worker import BEGUN_BEFORE, PartWorker, WorkerSpec
from phonemo.errors import PhonemoError, RunError
from phonemo.runtime.workers import exit_with_parent, ignore_sigint, ray_session, terminate_children

log = logging.getLogger(__name__)

#: Seconds between two looks at how far the workers are.
_LOOK = 0.2
#: A pool that is lost so often in a row, without a part being done, is lost for another reason.
_MOST_LOSSES = 2 * BEGUN_BEFORE + 1
Alive = Callable[[int], None]


def run_parts_locally(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Alive
) -> Iterator[PartStats]:
    """Hear parts side by side; each one's numbers when it is done, in the order in which they end.

    A process that dies is replaced, and what it was at is begun again.

    Args:
        work: what is wanted.
        parts: which.
        engine: says how many processes.
        alive: told now and then how many recordings were heard that no part has told yet.

    Raises:
        RunError: processes die again and again, or the folder cannot be written.
        PhonemoError: of the model.
    """
    rest, losses = list(parts), 0
    while rest:
        done = list[int]()
        try:
            for tally in _pool(work, rest, engine.workers or 1, alive):
                done.append(tally.part)
                yield tally
        except BrokenProcessPool as error:
            losses = 0 if done else losses + 1
            if losses == _MOST_LOSSES:
                raise RunError(
                    "worker processes were killed again and again, perhaps for want of memory; "
                    "run the same command again with fewer --workers"
                ) from error
            log.warning("a worker process died; the others begin again where they were")
        rest = [part for part in rest if part not in set(done)]


def _pool(
    work: WorkerSpec, parts: Sequence[int], workers: int, alive: Alive
) -> Iterator[PartStats]:
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    ticks = context.Value("q", 0)
    count = min(workers, len(parts))
    pool = ProcessPoolExecutor(count, context, _set_up, (work, ticks))
    told, rest = 0, iter(parts)
    running: set[Future[PartStats]] = set()
    try:
        while True:
            with ignore_sigint():  # which the processes inherit, from their first moment on
                running |= {
                    pool.submit(_run_part, one) for one in islice(rest, 2 * count - len(running))
                }
            if not running:
                return
            ended, running = wait(running, _LOOK, FIRST_COMPLETED)
            # what is done first: one that was lost is told by an exception
            for future in sorted(ended, key=lambda one: one.exception() is not None):
                tally = future.result()
                told += tally.files
                yield tally
            # without its lock, which a process may have been killed with
            alive(max(0, ticks.get_obj().value - told))
    finally:  # after Ctrl-C too, where some still hear
        pool.shutdown(wait=False, cancel_futures=True)
        terminate_children(others)
        # the exception of a lost pool holds this frame, and would keep its pipes and locks with it
        del pool, ticks


#: In a worker: what it was told, and from its first part on the model.
_told: tuple[WorkerSpec, Any] | None = None
_hearer: PartWorker | None = None


def _set_up(work: WorkerSpec, ticks: Any) -> None:
    global _told
    exit_with_parent()
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _told = work, ticks


def _run_part(part: int) -> PartStats:
    """The model is opened here, where an error of it reaches the parent."""
    global _hearer
    assert _told is not None
    work, ticks = _told

    def tick() -> None:
        with ticks.get_lock():
            ticks.value += 1

    _hearer = _hearer or PartWorker(work, tick)
    return _hearer.recognize(part)


class Actor:
    """One model in a process of Ray's; the folder of the batch must be one that it can reach.

    It is told of its work by its rows: what an actor's constructor is told may be lost when Ray
    begins it again (https://github.com/ray-project/ray/issues/53727).
    """

    def __init__(self) -> None:
        self._hearer: PartWorker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Hear the parts of a batch of rows; their numbers, as JSON."""
        rows = zip(batch["part"], batch["work"], strict=True)
        return {"tally": [self._part_result(int(part), work) for part, work in rows]}

    def _part_result(self, part: int, work: str) -> str:
        """A part's numbers, or the error that stops the batch: only rows come back."""
        try:
            if self._hearer is None:
                self._hearer = PartWorker(_work_of(work))
                gc.freeze()  # Ray's many modules need not be looked through again and again
            return self._hearer.recognize(part).model_dump_json()
        except PhonemoError as error:
            return f"{_ERROR}{error}"


def run_parts_on_ray(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Alive
) -> Iterator[PartStats]:
    """Hear parts side by side; arguments and errors as those of the local engine."""
    with ray_session(engine.address, engine.workers) as ray:
        cpus = int(ray.cluster_resources().get("CPU", 1))
        workers = min(engine.workers or cpus, len(parts))
        try:
            for row in _dataset(work, parts, workers).iter_rows():
                yield _tally_of(row["tally"])
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                f"Ray gave up ({type(error).__name__}: {reason}); run the same command again to "
                "go on"
            ) from error


def _dataset(work: WorkerSpec, parts: Sequence[int], workers: int) -> Any:
    import ray.data as ray_data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    context.execution_no_progress_timeout_s = -1  # a part of long recordings takes its time
    told = _text_of(work)
    rows = [{"part": part, "work": told} for part in parts]
    return ray_data.from_items(rows, override_num_blocks=len(parts)).map_batches(
        Actor,
        batch_size=1,
        compute=ray_data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,  # an actor that is lost is begun again, and what it was at with it
    )


def _work_of(text: str) -> WorkerSpec:
    told = json.loads(text)
    return WorkerSpec(told["folder"], BatchOptions.model_validate(told["asked"]), told["profile"])


def _text_of(work: WorkerSpec) -> str:
    told = {"folder": work.folder, "asked": work.asked.model_dump(), "profile": work.profile}
    return json.dumps(told)


def _tally_of(text: str) -> PartStats:
    if text.startswith(_ERROR):
        raise RunError(text.removeprefix(_ERROR))
    return PartStats.model_validate_json(text)


_ERROR = "error: "
