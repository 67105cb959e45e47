"""The engine of one machine or many: Ray Data, whose actors hold a model each and hear parts."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from phonemo.batch.asked import Asked, Engine, PartTally
from phonemo.batch.hearing import Hearer, Work
from phonemo.batch.local import Alive
from phonemo.clusters import ray_session
from phonemo.errors import PhonemoError, RunError


class Actor:
    """One model in a process of Ray's; the folder of the batch must be one that it can reach.

    It is told of its work by its rows: what an actor's constructor is told may be lost when Ray
    begins it again (https://github.com/ray-project/ray/issues/53727).
    """

    def __init__(self) -> None:
        self._hearer: Hearer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Hear the parts of a batch of rows; their numbers, as JSON."""
        rows = zip(batch["part"], batch["work"], strict=True)
        return {"tally": [self._heard(int(part), work) for part, work in rows]}

    def _heard(self, part: int, work: str) -> str:
        """A part's numbers, or the error that stops the batch: only rows come back."""
        try:
            if self._hearer is None:
                self._hearer = Hearer(_work_of(work))
                gc.freeze()  # Ray's many modules need not be looked through again and again
            return self._hearer.hear(part).model_dump_json()
        except PhonemoError as error:
            return f"{_ERROR}{error}"


def hear_parts(
    work: Work, parts: Sequence[int], engine: Engine, alive: Alive
) -> Iterator[PartTally]:
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


def _dataset(work: Work, parts: Sequence[int], workers: int) -> Any:
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


def _work_of(text: str) -> Work:
    told = json.loads(text)
    return Work(told["folder"], Asked.model_validate(told["asked"]), told["profile"])


def _text_of(work: Work) -> str:
    told = {"folder": work.folder, "asked": work.asked.model_dump(), "profile": work.profile}
    return json.dumps(told)


def _tally_of(text: str) -> PartTally:
    if text.startswith(_ERROR):
        raise RunError(text.removeprefix(_ERROR))
    return PartTally.model_validate_json(text)


_ERROR = "error: "
