"""The two engines of a batch: processes of this machine, or actors of Ray Data on one or many.

Each process or actor holds one model and recognizes parts one after another.
"""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from phonemo.batch.job import BatchOptions, ExecutorOptions, PartStats
from phonemo.batch.worker import BEGUN_BEFORE, PartWorker, WorkerSpec
from phonemo.errors import PhonemoError, RunError
from phonemo.runtime.workers import WorkerPool, ray_session

log = logging.getLogger(__name__)

#: Between two reports of how far the workers are.
_POLL_SECONDS = 0.2
#: After so many losses in a row without a finished part, the parts are not the reason.
_MOST_LOSSES = 2 * BEGUN_BEFORE + 1
#: Receives how many recordings were recognized in parts that are not finished.
Alive = Callable[[int], None]


def run_parts_locally(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Alive
) -> Iterator[PartStats]:
    """Recognize parts side by side; each one's numbers when it is done, in the order of their ends.

    A process that dies is replaced, and its part is begun again.

    Args:
        work: the batch and its options.
        parts: their numbers.
        engine: how many processes.
        alive: called now and then with the recordings done in parts that are not.

    Raises:
        RunError: processes die again and again, or the folder cannot be written.
        PhonemoError: of the model.
    """
    rest, losses = list(parts), 0
    while rest:
        done = list[int]()
        try:
            for stats in _run_pool(work, rest, engine.workers or 1, alive):
                done.append(stats.part)
                yield stats
        except BrokenProcessPool as error:
            losses = 0 if done else losses + 1
            if losses == _MOST_LOSSES:
                raise RunError(
                    "worker processes were killed again and again, perhaps for want of memory; "
                    "run the same command again with fewer --workers"
                ) from error
            log.warning("a worker process died; the others begin again where they were")
        rest = [part for part in rest if part not in set(done)]


def _run_pool(
    work: WorkerSpec, parts: Sequence[int], workers: int, alive: Alive
) -> Iterator[PartStats]:
    ticks = multiprocessing.get_context("spawn").Value("q", 0)
    reported = 0
    with WorkerPool(_run_part, min(workers, len(parts)), _set_up, (work, ticks)) as pool:
        try:
            for outcome in pool.completed(parts, _POLL_SECONDS):
                if outcome is not None:
                    reported += outcome[1].files
                    yield outcome[1]
                # without its lock, which a process may have been killed with
                alive(max(0, ticks.get_obj().value - reported))
        finally:  # the exception of a lost pool holds this frame, and would keep its locks with it
            del ticks


#: In a worker: its batch and its counter, and from its first part on the model.
_spec: tuple[WorkerSpec, Any] | None = None
_worker: PartWorker | None = None


def _set_up(work: WorkerSpec, ticks: Any) -> None:
    global _spec
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _spec = work, ticks


def _run_part(part: int) -> PartStats:
    """The model is opened here, where an error of it reaches the parent."""
    global _worker
    assert _spec is not None
    work, ticks = _spec

    def tick() -> None:
        with ticks.get_lock():
            ticks.value += 1

    _worker = _worker or PartWorker(work, tick)
    return _worker.recognize(part)


class Actor:
    """One model in a process of Ray's; the folder of the batch must be one that it can reach.

    Its rows carry the batch's options: a constructor's arguments may be lost when Ray restarts it (https://github.com/ray-project/ray/issues/53727).
    """

    def __init__(self) -> None:
        self._worker: PartWorker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Recognize the parts of a batch of rows; their numbers, as JSON."""
        rows = zip(batch["part"], batch["work"], strict=True)
        return {"tally": [self._part_result(int(part), work) for part, work in rows]}

    def _part_result(self, part: int, work: str) -> str:
        """A part's numbers, or the error that stops the batch: only rows come back."""
        try:
            if self._worker is None:
                self._worker = PartWorker(_work_of(work))
                gc.freeze()  # Ray's many modules need not be looked through again and again
            return self._worker.recognize(part).model_dump_json()
        except PhonemoError as error:
            return f"{_ERROR}{error}"


def run_parts_on_ray(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Alive
) -> Iterator[PartStats]:
    """Recognize parts side by side; arguments and errors are those of the local engine."""
    with ray_session(engine.address, engine.workers) as ray:
        cpus = int(ray.cluster_resources().get("CPU", 1))
        workers = min(engine.workers or cpus, len(parts))
        try:
            for row in _dataset(work, parts, workers).iter_rows():
                yield _stats_of(row["tally"])
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
    text = _text_of(work)
    rows = [{"part": part, "work": text} for part in parts]
    return ray_data.from_items(rows, override_num_blocks=len(parts)).map_batches(
        Actor,
        batch_size=1,
        compute=ray_data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,  # an actor that is lost is begun again, and what it was at with it
    )


def _work_of(text: str) -> WorkerSpec:
    data = json.loads(text)
    return WorkerSpec(data["folder"], BatchOptions.model_validate(data["asked"]), data["profile"])


def _text_of(work: WorkerSpec) -> str:
    data = {"folder": work.folder, "asked": work.asked.model_dump(), "profile": work.profile}
    return json.dumps(data)


def _stats_of(text: str) -> PartStats:
    if text.startswith(_ERROR):
        raise RunError(text.removeprefix(_ERROR))
    return PartStats.model_validate_json(text)


_ERROR = "error: "
