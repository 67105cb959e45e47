"""The engine of one machine or many: Ray Data, whose actors hold a model each and hear parts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from phonemo.batch.asked import Engine, PartTally
from phonemo.batch.hearing import Hearer, Work
from phonemo.batch.local import Alive
from phonemo.clusters import ray_session
from phonemo.errors import PhonemoError, RunError


class Actor:
    """One model in a process of Ray's; the folder of the batch must be one that it can reach."""

    def __init__(self, work: Work) -> None:
        self._hearer = Hearer(work)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Hear the parts of a batch of rows; their numbers."""
        return {"tally": [_heard(self._hearer, int(part)) for part in batch["part"]]}


def hear_parts(
    work: Work, parts: Sequence[int], engine: Engine, alive: Alive
) -> Iterator[PartTally]:
    """Hear parts side by side; arguments and errors as those of the local engine."""
    with ray_session(engine.address, engine.workers) as ray:
        cpus = int(ray.cluster_resources().get("CPU", 1))
        workers = min(engine.workers or cpus, len(parts))
        for row in _dataset(ray, work, parts, workers).iter_rows():
            yield _tally_of(row["tally"])


def _dataset(ray: Any, work: Work, parts: Sequence[int], workers: int) -> Any:
    import ray.data as ray_data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    context.execution_no_progress_timeout_s = -1  # a part of long recordings takes its time
    rows = [{"part": part} for part in parts]
    return ray_data.from_items(rows, override_num_blocks=len(parts)).map_batches(
        Actor,
        batch_size=1,
        fn_constructor_args=(work,),
        compute=ray_data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,  # an actor that is lost is begun again, and what it was at with it
    )


def _heard(hearer: Hearer, part: int) -> str:
    """A part's numbers, or the error that stops the batch, as text: only rows come back."""
    try:
        return hearer.hear(part).model_dump_json()
    except PhonemoError as error:
        return f"{_ERROR}{error}"


def _tally_of(text: str) -> PartTally:
    if text.startswith(_ERROR):
        raise RunError(text.removeprefix(_ERROR))
    return PartTally.model_validate_json(text)


_ERROR = "error: "
