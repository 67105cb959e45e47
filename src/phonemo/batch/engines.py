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
from phonemo.errors import DeviceError, PhonemoError, RunError
from phonemo.runtime.device import is_cuda
from phonemo.runtime.workers import WorkerPool, ray_session

log = logging.getLogger(__name__)

#: Interval between two progress reports.
_POLL_SECONDS = 0.2
#: Consecutive losses without a finished part after which the parts are not the cause.
_MOST_LOSSES = 2 * BEGUN_BEFORE + 1
#: Called with the number of recordings recognized in unfinished parts.
Alive = Callable[[int], None]


def run_parts_locally(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Alive
) -> Iterator[PartStats]:
    """Recognize parts in parallel and yield each one's statistics as it finishes.

    A process that dies is replaced, and its part is restarted.

    Args:
        work: the batch and its options.
        parts: part numbers.
        engine: the number of processes.
        alive: called periodically with the number of recordings done in unfinished parts.

    Raises:
        RunError: processes die repeatedly, or the folder cannot be written.
        PhonemoError: the model cannot be opened.
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
                    "worker processes were killed repeatedly, perhaps for lack of memory; run the "
                    "same command again with fewer --workers"
                ) from error
            log.warning("a worker process died; restarting the unfinished parts")
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
                # read without the lock, which a killed process may still hold
                alive(max(0, ticks.get_obj().value - reported))
        finally:  # the exception of a lost pool keeps this frame, and with it the locks, alive
            del ticks


#: In a worker process: its batch and counter and, from its first part on, its model.
_spec: tuple[WorkerSpec, Any] | None = None
_worker: PartWorker | None = None


def _set_up(work: WorkerSpec, ticks: Any) -> None:
    global _spec
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _spec = work, ticks


def _run_part(part: int) -> PartStats:
    """Recognize a part; the model is opened here, where its errors reach the parent."""
    global _worker
    assert _spec is not None
    work, ticks = _spec

    def tick() -> None:
        with ticks.get_lock():
            ticks.value += 1

    _worker = _worker or PartWorker(work, tick)
    return _worker.recognize(part)


class Actor:
    """One model in a Ray process, which must be able to reach the batch folder.

    Its rows carry the batch's options: a constructor's arguments may be lost when Ray restarts it (https://github.com/ray-project/ray/issues/53727).
    """

    def __init__(self) -> None:
        self._worker: PartWorker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Recognize the parts named in a batch of rows; return their statistics as JSON."""
        rows = zip(batch["part"], batch["work"], strict=True)
        return {"tally": [self._part_result(int(part), work) for part, work in rows]}

    def _part_result(self, part: int, work: str) -> str:
        """Return a part's statistics or the batch's error as text: only rows come back."""
        try:
            if self._worker is None:
                self._worker = PartWorker(_work_of(work))
                gc.freeze()  # excludes Ray's many modules from every collection
            return self._worker.recognize(part).model_dump_json()
        except PhonemoError as error:
            return f"{_ERROR}{error}"


def run_parts_on_ray(
    work: WorkerSpec, parts: Sequence[int], engine: ExecutorOptions, alive: Alive
) -> Iterator[PartStats]:
    """Recognize parts on Ray; arguments and errors as for ``run_parts_locally``."""
    with ray_session(engine.address, engine.workers) as ray:
        workers = min(engine.workers or _places(ray, work.options.device), len(parts))
        try:
            for row in _dataset(work, parts, workers).iter_rows():
                yield _stats_of(row["tally"])
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                f"Ray failed ({type(error).__name__}: {reason}); run the same command again to "
                "resume"
            ) from error


def _places(ray: Any, device: str) -> int:
    """The actors that a cluster has processors for, or cards.

    Raises:
        DeviceError: a card is requested, and the cluster has none.
    """
    resources = ray.cluster_resources()
    if not is_cuda(device):
        return int(resources.get("CPU", 1))
    cards = int(resources.get("GPU", 0))
    if not cards:
        raise DeviceError(
            f"expected GPUs in the Ray cluster for device {device}, got none; start its machines "
            "with ray start --num-gpus, or use device cpu"
        )
    return cards


def _dataset(work: WorkerSpec, parts: Sequence[int], workers: int) -> Any:
    import ray.data as ray_data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    context.execution_no_progress_timeout_s = -1  # long recordings are slow
    text = _text_of(work)
    rows = [{"part": part, "work": text} for part in parts]
    return ray_data.from_items(rows, override_num_blocks=len(parts)).map_batches(
        Actor,
        batch_size=1,
        compute=ray_data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,  # a lost actor is restarted together with its part
        num_gpus=1 if is_cuda(work.options.device) else None,  # Ray numbers each actor's card 0
    )


def _work_of(text: str) -> WorkerSpec:
    data = json.loads(text)
    return WorkerSpec(data["folder"], BatchOptions.model_validate(data["asked"]), data["profile"])


def _text_of(work: WorkerSpec) -> str:
    data = {"folder": work.folder, "asked": work.options.model_dump(), "profile": work.profile}
    return json.dumps(data)


def _stats_of(text: str) -> PartStats:
    if text.startswith(_ERROR):
        raise RunError(text.removeprefix(_ERROR))
    return PartStats.model_validate_json(text)


_ERROR = "error: "
