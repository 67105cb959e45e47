"""The mutants of one room: drawn, run one after the other, and remembered in a session on disk.

Needs cosmic-ray. A session is a file of cosmic-ray, whose own reports work on it too.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code, use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutants.defended import DEFENDED
from tests.mutants.forked_tests import ForkedTests
from tests.mutants.rooms import ROOMS
from tests.mutants.sample import Mutation, drawn, is_same

ROOT = Path(__file__).resolve().parents[2]
_FOLDER = ROOT / "work" / "mutants"
_BASELINE_SECONDS = 1800.0


@dataclass(frozen=True)
class Mutant:
    """What became of one mutant."""

    mutation: Mutation
    outcome: str
    """killed, timeout (which counts as killed) or survived."""
    diff: str

    @property
    def key(self) -> tuple[str, str, str]:
        """As in DEFENDED."""
        lines = self.diff.splitlines()
        marks = {mark: [x[1:] for x in lines if x[:1] == mark != x[1:2]] for mark in "-+"}
        before, after = (" ".join(" ".join(marks[mark]).split()) for mark in "-+")
        return self.mutation.module, before, after

    @property
    def reason(self) -> str | None:
        """Why no test can kill it, if it is defended."""
        return DEFENDED.get(self.key)


class Session:
    """A copy of the package that is mutated, with what was found so far.

    Args:
        name: of a room.
        python: an interpreter of the tests' environment.
    """

    def __init__(self, name: str, python: str) -> None:
        self.name, self._room = name, ROOMS[name]
        self._source = _FOLDER / name / "src"
        self._facts = _FOLDER / name / "facts.json"
        self._python = python
        self._paths = [self._source / "phonemo" / one for one in self._room.sources]
        self._source.parent.mkdir(parents=True, exist_ok=True)
        self._db = WorkDB(str(_FOLDER / name / "session.sqlite"), WorkDB.Mode.create)
        self._prepare()

    def run(self, count: int, seed: int, most_seconds: float) -> Iterator[Mutant]:
        """Run what has not run yet of a sample; nothing new is begun after ``most_seconds``.

        Raises:
            SystemExit: another run has this room, or its tests fail without any mutant.
        """
        with (_FOLDER / self.name / "lock").open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SystemExit(f"{self.name}: another run has it; wait for its end") from error
            yield from self._run(count, seed, most_seconds)

    def _run(self, count: int, seed: int, most_seconds: float) -> Iterator[Mutant]:
        end = time.monotonic() + most_seconds
        done = {job for job, _ in self._db.results}
        todo = [item for item in self._sample(count, seed) if item.job_id not in done]
        if not todo:
            return
        self._copy()
        with closing(self._tests()) as tests:
            limit = self._limit(tests)
            for item in todo:
                if time.monotonic() > end:
                    return
                result = self._result(item, tests, limit)
                self._db.set_result(item.job_id, result)
                yield self._mutant(item, result)

    def results(self, count: int, seed: int) -> list[Mutant]:
        """What is known of a sample."""
        known = dict(self._db.results)
        sample = self._sample(count, seed)
        return [self._mutant(item, known[item.job_id]) for item in sample if item.job_id in known]

    def forget_survivors(self) -> None:
        """Let them run again, as after new tests."""
        survivors = [
            item
            for item, result in self._db.completed_work_items
            if result.test_outcome is not TestOutcome.KILLED
        ]
        kept = [pair for pair in self._db.completed_work_items if pair[0] not in survivors]
        items = self._db.work_items
        self._db.clear()
        self._db.add_work_items(items)
        for item, result in kept:
            self._db.set_result(item.job_id, result)

    def _copy(self) -> None:
        """Copy the package, without its models, which are linked."""
        package = self._source / "phonemo"
        shutil.rmtree(self._source, ignore_errors=True)  # an interrupted run left a mutant there
        skip = shutil.ignore_patterns("models")
        shutil.copytree(ROOT / "src" / "phonemo", package, ignore=skip)
        (package / "models").symlink_to(ROOT / "src" / "phonemo" / "models")

    def _prepare(self) -> None:
        """Begin anew where the modules have changed."""
        code = "".join(map(_code, self._room.sources))
        digest = hashlib.sha256(code.encode()).hexdigest()
        if self._read_facts().get("digest") != digest:
            self._copy()
            init(self._paths, self._db, {})
            self._write_facts(digest=digest)

    def _tests(self) -> ForkedTests:
        files = [f"tests/{one}" for one in self._room.tests]
        arguments = ["-q", "-x", "-p", "no:cacheprovider", *files]
        return ForkedTests(self._python, ROOT, self._source, arguments)

    def _limit(self, tests: ForkedTests) -> float:
        """Seconds for the tests of a mutant, from the first run without one, which also imports.

        Raises:
            SystemExit: the tests fail without any mutant, in the first run or in a fork after it.
        """
        began = time.monotonic()
        first = tests.run(_BASELINE_SECONDS)
        seconds = time.monotonic() - began
        for run in (first, tests.run(_BASELINE_SECONDS)):
            if run.status != 0:
                raise SystemExit(f"{self.name}: the tests fail without any mutant\n{run.output}")
        self._write_facts(**self._read_facts() | {"baseline_seconds": round(seconds, 1)})
        return 20 + 5 * seconds

    def _result(self, item: WorkItem, tests: ForkedTests, limit: float) -> WorkResult:
        spec = item.mutations[0]
        operator = get_operator(spec.operator_name)(**spec.operator_args)
        with use_mutation(spec.module_path, operator, spec.occurrence) as (before, after):
            run = tests.run(limit)
        return WorkResult(
            worker_outcome=WorkerOutcome.NORMAL,
            output="timeout" if run.status is None else run.output,
            test_outcome=TestOutcome.SURVIVED if run.status == 0 else TestOutcome.KILLED,
            diff=_diff(before, after, spec.module_path.relative_to(self._source)),
        )

    def _sample(self, count: int, seed: int) -> list[WorkItem]:
        items = {self._mutation(item): item for item in self._db.work_items}
        sample: list[WorkItem] = []
        for mutation in drawn(items, seed):
            if len(sample) == count:
                break
            if self._does_something(mutation):
                sample.append(items[mutation])
        return sample

    def _does_something(self, mutation: Mutation) -> bool:
        code = _code(mutation.module)
        mutated = mutate_code(code, get_operator(mutation.operator)(), mutation.occurrence)
        return mutated is not None and not is_same(code, mutated)

    def _mutant(self, item: WorkItem, result: WorkResult) -> Mutant:
        outcome = "timeout" if result.output == "timeout" else result.test_outcome.value
        return Mutant(self._mutation(item), outcome, result.diff or "")

    def _mutation(self, item: WorkItem) -> Mutation:
        spec = item.mutations[0]
        module = spec.module_path.relative_to(self._source / "phonemo").as_posix()
        return Mutation(
            module, tuple(spec.start_pos), tuple(spec.end_pos), spec.operator_name, spec.occurrence
        )

    def _read_facts(self) -> dict[str, object]:
        return json.loads(self._facts.read_text("utf-8")) if self._facts.exists() else {}

    def _write_facts(self, **facts: object) -> None:
        self._facts.write_text(json.dumps(facts), encoding="utf-8")


def _code(module: str) -> str:
    return (ROOT / "src" / "phonemo" / module).read_text(encoding="utf-8")


def _diff(before: str, after: str, path: Path) -> str:
    names = (f"a/src/{path}", f"b/src/{path}")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return "\n".join(lines)
