"""What /metrics tells Prometheus; labels come from closed lists, so that they stay few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from phonemo.version import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Meters:
    """The server's counters; one set for each app, so that two in one process stay apart."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        made: dict[str, Any] = {"namespace": "phonemo", "registry": registry}
        Gauge("info", "The version that answers.", ["version"], **made).labels(__version__).set(1)
        self.requests = Counter("requests", "Responses.", ["route", "method", "status"], **made)
        self.seconds = Histogram(
            "request_seconds", "From a request's head to the end of its response.", ["route"],
            buckets=_SECONDS, **made,
        )  # fmt: skip
        self.stages = Histogram(
            "stage_seconds", "Of one recording, by stage.", ["stage"], buckets=_SECONDS, **made
        )
        self.audio = Counter("audio_seconds", "Length of the recordings that were heard.", **made)
        self.errors = Counter("errors", "Requests and streams without an answer.", ["code"], **made)
        self.in_flight = Gauge("in_flight", "Recordings that wait or are worked on.", **made)
        self.batches = Histogram(
            "batch_clips", "Recordings heard together.", buckets=(1, 2, 4, 8, 16), **made
        )
        self.replaced = Counter("decoders_replaced", "Decoders that were lost.", ["reason"], **made)
        self.streams = Gauge("streams", "Live streams that are open.", **made)

    def started(self, clips: int, waited: Sequence[float]) -> None:
        """A thread took so many recordings, which had waited so many seconds."""
        self.batches.observe(clips)
        for one in waited:
            self.stages.labels("queue").observe(one)

    def text(self) -> bytes:
        """Everything, in Prometheus' format."""
        return generate_latest(self.registry)
