"""The profile of a batch: a file in its folder that every worker applies."""

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
    """Write the profile to the folder, atomically; it takes effect once the card names it.

    Args:
        store: the folder of the batch.
        profile: the profile to apply.
        sampled: recordings in the first pass; None for a given profile.
        silent: those of them without speech.
        failed: those of them that cannot be used.

    Raises:
        RunError: the file cannot be written.
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


def read_profile(store: Store, expected: str) -> Profile:
    """Read the profile of a folder.

    Args:
        store: the folder of the batch.
        expected: its hash.

    Raises:
        RunError: the profile is missing, damaged or another one.
    """
    text = store.find(PROFILE)
    try:
        profile = None if text is None else Profile.parse(text, PROFILE)
    except UsageError as error:
        raise _profile_error(store, expected, "a damaged file") from error
    if profile is None or profile.hash != expected:
        actual = "no file" if profile is None else f"profile {profile.hash}"
        raise _profile_error(store, expected, actual)
    return profile


def _profile_error(store: Store, expected: str, actual: str) -> RunError:
    return RunError(
        f"{safe_name(store.address)}: {PROFILE}: expected profile {expected}, with which the batch "
        f"was started, got {actual}; restore it, or give another folder with --output"
    )
