"""The profile of a batch: one file in its folder, which every worker applies."""

from __future__ import annotations

from phonemo.batch.job import Applied
from phonemo.batch.stores import Store
from phonemo.errors import RunError, UsageError, safe_name
from phonemo.runtime.adaptation.profile import Profile

PROFILE = "profile.json"


def keep_profile(
    store: Store,
    profile: Profile,
    sampled: int | None = None,
    silent: int = 0,
    failed: int = 0,
) -> Applied:
    """Put it into the folder, whole or not at all; it counts once the folder's card names it.

    Args:
        store: the folder of the batch.
        profile: to be applied.
        sampled: recordings of the first pass; None for a profile that was given.
        silent: how many of them have no speech.
        failed: how many of them cannot be used.

    Raises:
        RunError: the disk, or the store, refused.
    """
    store.write(PROFILE, profile.text())
    return Applied(
        hash=profile.hash,
        count=profile.count,
        seconds=profile.seconds,
        sampled=sampled,
        silent=silent,
        failed=failed,
    )


def read_profile(store: Store, wanted: str) -> Profile:
    """The profile that the folder keeps.

    Args:
        store: the folder of the batch.
        wanted: its hash.

    Raises:
        RunError: it is absent, broken or another one.
    """
    text = store.find(PROFILE)
    try:
        found = None if text is None else Profile.parse(text, PROFILE)
    except UsageError as error:
        raise _lost(store, wanted, "broken") from error
    if found is None or found.hash != wanted:
        raise _lost(store, wanted, "absent" if found is None else f"profile {found.hash}")
    return found


def _lost(store: Store, wanted: str, found: str) -> RunError:
    return RunError(
        f"{safe_name(store.address)}: {PROFILE} is {found}, profile {wanted} is expected, which "
        "the batch was begun with; put that back, or name another folder with --output"
    )
