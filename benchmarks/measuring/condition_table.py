"""The table of conditions, as markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from measuring.pages import points, table


def written(content: Mapping[str, Any], pool: int) -> str:
    """Both tables, over all corpora and by corpus, with what belongs to them.

    Args:
        content: of conditions.json.
        pool: recordings in a profile that is drawn.
    """
    heads = {"none": "without", "pool": f"profile of {pool}", "all": "profile of all"}
    profiles, corpora, ways = (content[key] for key in ("profiles", "corpora", "conditions"))
    named = [heads[one] for one in profiles]
    rows = [
        [
            name,
            *(points(one["mean"][profile]) for profile in profiles),
            *(_interval(one["lost"][profile], name) for profile in profiles),
        ]
        for name, one in ways.items()
    ]
    by_corpus = [
        [name, *(_by_profile(one["corpora"][corpus], profiles) for corpus in corpora)]
        for name, one in ways.items()
    ]
    return "\n".join(
        [
            f"UA in %, mean over {', '.join(content['mean_over'])}; lost against clean in points, "
            "with the 95 % interval over speakers.",
            "",
            table(["condition", *named, *(f"lost {one}" for one in named)], rows),
            "",
            f"By corpus, {' / '.join(named)}:",
            "",
            table(["condition", *corpora], by_corpus),
            "",
            _notes(content),
        ]
    )


def _notes(content: Mapping[str, Any]) -> str:
    tested = "; ".join(
        f"{name}: {one['utterances']} recordings of {one['speakers']} speakers by {one['model']}"
        + (f" ({one['note']})" if one["note"] else "")
        for name, one in content["corpora"].items()
    )
    says = "; ".join(f"*{name}* {one['says']}" for name, one in content["conditions"].items())
    return (
        f"`{content['command']}`. {tested}. Conditions: {says}. Opus: variable rate, "
        f"{content['opus_kbit_per_second']} kbit/s as measured on its packets."
    )


def _interval(lost: Mapping[str, float | None], name: str) -> str:
    if name == "clean":
        return ""
    found = f"{100 * (lost['estimate'] or 0.0):+.1f}"
    if lost["low"] is None or lost["high"] is None:
        return found
    return f"{found} ({100 * lost['low']:+.1f} to {100 * lost['high']:+.1f})"


def _by_profile(scores: Mapping[str, float], profiles: Sequence[str]) -> str:
    return " / ".join(points(scores[one]) for one in profiles)
