"""A batch of phonemo as a queueing model in SimPy: workers, one parent, one link to the storage.

Every worker repeats: wait for the parent, which hands out parts one after the other; recognize the
part on a core of its own, while its recordings come over the link that all workers share; publish
it. Before the first part there are the plan, with ``adapt`` a first pass over a sample, and the
start of the workers' processes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

#: What a worker's time goes into; all but the first are losses.
STATES = ("recognizing", "plan", "first pass", "start", "storage", "parent", "publishing", "end")
#: Recordings of the first pass, and the most that is decoded of each (phonemo.batch.adaptation).
SAMPLE, SAMPLE_SECONDS = 300, 60.0


@dataclass(frozen=True)
class Times:
    """Service times of one machine in seconds, as ``service_times.measure`` finds them."""

    command: float
    """The command itself: imports, checks, the end."""
    start: float
    """A worker's process, from its start to the opened model."""
    plan: float
    """Planning, per recording."""
    parent: float
    """The parent's work per part; serial."""
    publish: float
    """Writing, renaming and counting a part, without its rows."""
    each: float
    """A recording, whatever its length."""
    short: float
    """A second of a recording of up to 30 s."""
    long: float
    """A second of a longer one, which is recognized in overlapping windows."""
    vectors: float
    """A second of a recording in the first pass of --adapt."""
    neighbor: float
    """Processor time beside another worker, against alone."""
    noise: float
    """Standard deviation of the logarithm of a part's time against what its lengths predict."""


@dataclass(frozen=True)
class Job:
    """A batch."""

    name: str
    hours: float
    """Of audio."""
    part_files: int
    megabytes: float
    """Of storage per hour of audio."""
    lengths: Sequence[float] = ()
    """Seconds of the recordings that lengths are drawn from; without them, they are lognormal."""
    mean: float = 600.0
    spread: float = 0.7
    """Standard deviation of the logarithm of the lengths."""
    adapt: bool = False
    exact: bool = False
    """Take ``lengths`` as they are, in their order."""


@dataclass(frozen=True)
class Storage:
    """Assumptions: the link that all workers share, and the delay of a request."""

    megabytes: float = 125.0
    """A second; 125 is one link of 1 Gbit/s."""
    delay: float = 0.02


@dataclass
class Outcome:
    """One simulated run."""

    seconds: float = 0.0
    hours: float = 0.0
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STATES, 0.0))
    """Worker seconds by state."""
    link: float = 0.0
    """Share of the time in which the link is busy."""
    parent: float = 0.0
    """The same of the parent."""

    processor: float = 0.0
    """Processor seconds of the command and its workers."""

    @property
    def speed(self) -> float:
        """Hours of audio an hour."""
        return self.hours * 3600 / self.seconds


def lengths_of(job: Job, random: Random) -> list[float]:
    """Seconds of the job's recordings, in the order of their parts."""
    if job.exact:
        return list(job.lengths)
    found, total = list[float](), 0.0
    middle = math.log(job.mean) - job.spread**2 / 2
    while total < job.hours * 3600:
        drawn = (
            random.choice(job.lengths) if job.lengths else random.lognormvariate(middle, job.spread)
        )
        found.append(drawn)
        total += drawn
    return found


def cost_of(times: Times, seconds: float) -> float:
    """Processor seconds of a recording."""
    return times.each + seconds * (times.short if seconds <= 30 else times.long)


def simulate(
    job: Job, times: Times, workers: int, storage: Storage = Storage(), seed: int = 0
) -> Outcome:
    """Run a batch once; the same seed gives the same recordings for every number of workers."""
    random = Random(seed)
    lengths = lengths_of(job, random)
    size = job.part_files
    parts = [lengths[first : first + size] for first in range(0, len(lengths), size)]
    return _Batch(job, times, workers, storage, random).run(parts)


class _Batch:
    """The processes of one run."""

    def __init__(
        self, job: Job, times: Times, workers: int, storage: Storage, random: Random
    ) -> None:
        self._job, self._times, self._workers = job, times, workers
        self._storage, self._random = storage, random
        self._env = simpy.Environment()
        self._parent, self._link = (simpy.Resource(self._env, 1) for _ in range(2))
        self._factor = times.neighbor if workers > 1 else 1.0
        self._busy = {"parent": 0.0, "link": 0.0}
        self.outcome = Outcome()

    def run(self, parts: list[list[float]]) -> Outcome:
        """All of it; the outcome."""
        self._env.run(self._env.process(self._main(parts)))
        outcome, seconds = self.outcome, self._env.now
        outcome.seconds, outcome.hours = seconds, sum(map(sum, parts)) / 3600
        outcome.link, outcome.parent = (self._busy[name] / seconds for name in ("link", "parent"))
        before = self._times.command + self._times.plan * sum(map(len, parts))
        work = outcome.spent["recognizing"] + outcome.spent["start"]
        outcome.processor = before + work + self._busy["parent"]
        return outcome

    def _main(self, parts: list[list[float]]) -> Generator[Any, Any, None]:
        times, count = self._times, sum(map(len, parts))
        workers = min(self._workers, len(parts))
        yield self._env.timeout(times.command + times.plan * count)
        self._spend("plan", self._workers * self._env.now)
        if self._job.adapt:
            began = self._env.now
            sample = sorted(
                self._random.sample([s for part in parts for s in part], min(SAMPLE, count))
            )
            yield from self._first_pass(sample)
            self._spend("first pass", self._workers * (self._env.now - began))
        began, rest = self._env.now, iter(parts)
        yield simpy.AllOf(
            self._env, [self._env.process(self._worker(rest)) for _ in range(workers)]
        )
        spent = sum(
            self.outcome.spent[name] for name in STATES if name not in ("plan", "first pass")
        )
        self._spend("end", self._workers * (self._env.now - began) - spent)

    def _first_pass(self, sample: list[float]) -> Generator[Any, Any, None]:
        """The workers' processes are started for it alone."""
        cost = [self._times.vectors * min(one, SAMPLE_SECONDS) * self._factor for one in sample]
        self._random.shuffle(cost)
        rest = iter(cost)

        def take() -> Generator[Any, Any, None]:
            yield self._env.timeout(self._times.start * self._factor)
            for one in rest:
                yield self._env.timeout(one)

        takers = min(self._workers, len(sample))
        yield simpy.AllOf(self._env, [self._env.process(take()) for _ in range(takers)])

    def _worker(self, rest: Any) -> Generator[Any, Any, None]:
        times, env = self._times, self._env
        yield env.timeout(times.start * self._factor)
        self._spend("start", times.start * self._factor)
        for part in rest:
            began = env.now
            yield from self._served(self._parent, "parent", times.parent)
            self._spend("parent", env.now - began)
            noise = math.exp(self._random.gauss(-(times.noise**2) / 2, times.noise))
            work = sum(cost_of(times, one) for one in part) * self._factor * noise
            began = env.now
            fetching = env.process(self._fetch(sum(part)))
            yield env.timeout(work) & fetching
            self._spend("recognizing", work)
            self._spend("storage", env.now - began - work)
            yield env.timeout(times.publish + self._storage.delay)
            self._spend("publishing", times.publish + self._storage.delay)

    def _fetch(self, seconds: float) -> Generator[Any, Any, None]:
        """A part's recordings; a worker fetches ahead, so that only the first one is waited for."""
        yield self._env.timeout(self._storage.delay)
        megabytes = seconds / 3600 * self._job.megabytes
        yield from self._served(self._link, "link", megabytes / self._storage.megabytes)

    def _served(
        self, resource: simpy.Resource, name: str, seconds: float
    ) -> Generator[Any, Any, None]:
        with resource.request() as turn:
            yield turn
            yield self._env.timeout(seconds)
        self._busy[name] += seconds

    def _spend(self, state: str, seconds: float) -> None:
        self.outcome.spent[state] += seconds


# Several runs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A number of workers, over several runs."""

    workers: int
    speed: float
    """Hours of audio an hour, mean."""
    margin: float
    """Half of the 95 % interval of that mean."""
    efficiency: float
    """Against as many times one worker."""
    shares: dict[str, float]
    """Of the workers' time, by state."""
    link: float
    parent: float

    @property
    def loss(self) -> str:
        """The largest loss."""
        return max(STATES[1:], key=lambda name: self.shares[name])


def curve(
    job: Job,
    times: Times,
    workers: Sequence[int],
    storage: Storage = Storage(),
    runs: int = 12,
    seed: int = 0,
) -> list[Point]:
    """The points of a curve; run n has the same recordings everywhere."""
    alone = [simulate(job, times, 1, storage, seed + run) for run in range(runs)]
    points = []
    for count in workers:
        found = [simulate(job, times, count, storage, seed + run) for run in range(runs)]
        ratios = [one.speed / first.speed / count for one, first in zip(found, alone, strict=True)]
        total = sum(count * one.seconds for one in found)
        points.append(
            Point(
                count,
                statistics.fmean(one.speed for one in found),
                _margin([one.speed for one in found]),
                statistics.fmean(ratios),
                {name: sum(one.spent[name] for one in found) / total for name in STATES},
                statistics.fmean(one.link for one in found),
                statistics.fmean(one.parent for one in found),
            )
        )
    return points


def bend(points: Sequence[Point], least: float = 0.8) -> Point | None:
    """The first point whose efficiency is below ``least``."""
    return next((point for point in points if point.efficiency < least), None)


def _margin(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean, by Student's t (expanded around the normal value)."""
    if len(values) < 2:
        return 0.0
    freedom = len(values) - 1
    t = 1.96 + 2.372 / freedom + 2.823 / freedom**2
    return t * statistics.stdev(values) / math.sqrt(len(values))
