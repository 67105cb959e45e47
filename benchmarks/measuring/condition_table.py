"""The table of conditions as markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from measuring.pages import points, table


def written(content: Mapping[str, Any], pool: int) -> str:
    """Format both tables, over all corpora and by corpus, with notes.

    Args:
        content: the content of conditions.json.
        pool: number of recordings in a drawn profile.
    """
    heads = {"none": "without", "pool": f"profile of {pool}", "all": "profile of all"}
    profiles, corpora, ways = (content[key] for key in ("profiles", "corpora", "conditions"))
    titles = [heads[profile] for profile in profiles]
    rows = [
        [
            name,
            *(points(way["mean"][profile]) for profile in profiles),
            *(_interval(way["lost"][profile], name) for profile in profiles),
        ]
        for name, way in ways.items()
    ]
    by_corpus = [
        [name, *(_by_profile(way["corpora"][corpus], profiles) for corpus in corpora)]
        for name, way in ways.items()
    ]
    return "\n".join(
        [
            f"UA in %, mean over {', '.join(content['mean_over'])}; lost against clean in points, "
            "with the 95 % interval over speakers.",
            "",
            table(["condition", *titles, *(f"lost {title}" for title in titles)], rows),
            "",
            f"By corpus, {' / '.join(titles)}:",
            "",
            table(["condition", *corpora], by_corpus),
            "",
            _notes(content),
        ]
    )


def _notes(content: Mapping[str, Any]) -> str:
    tested = "; ".join(
        f"{name}: {corpus['utterances']} recordings of {corpus['speakers']} speakers by "
        f"{corpus['model']}" + (f" ({corpus['note']})" if corpus["note"] else "")
        for name, corpus in content["corpora"].items()
    )
    says = "; ".join(f"*{name}* {way['says']}" for name, way in content["conditions"].items())
    return (
        f"`{content['command']}`. {tested}. Conditions: {says}. Opus: variable rate, "
        f"{content['opus_kbit_per_second']} kbit/s as measured on its packets."
    )


def _interval(lost: Mapping[str, float | None], name: str) -> str:
    if name == "clean":
        return ""
    estimate = f"{100 * (lost['estimate'] or 0.0):+.1f}"
    if lost["low"] is None or lost["high"] is None:
        return estimate
    return f"{estimate} ({100 * lost['low']:+.1f} to {100 * lost['high']:+.1f})"


def _by_profile(scores: Mapping[str, float], profiles: Sequence[str]) -> str:
    return " / ".join(points(scores[profile]) for profile in profiles)
