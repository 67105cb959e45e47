"""A batch's profile: a file in its folder that every worker applies."""

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
    """Write a profile to the folder atomically; it is applied once the folder's card names it.

    Args:
        store: the batch folder.
        profile: the profile to apply.
        sampled: recordings of the first pass; None for a profile passed by the user.
        silent: recordings of the first pass without speech.
        failed: recordings of the first pass that cannot be used.

    Raises:
        RunError: the folder cannot be written.
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
    """Read the profile in the folder.

    Args:
        store: the batch folder.
        expected: the profile's hash.

    Raises:
        RunError: the profile is missing, malformed or another one.
    """
    text = store.find(PROFILE)
    try:
        profile = None if text is None else Profile.parse(text, PROFILE)
    except UsageError as error:
        raise _mismatch(store, expected, "a malformed file") from error
    if profile is None or profile.hash != expected:
        actual = "no file" if profile is None else f"profile {profile.hash}"
        raise _mismatch(store, expected, actual)
    return profile


def _mismatch(store: Store, expected: str, actual: str) -> RunError:
    return RunError(
        f"{safe_name(store.address)}: {PROFILE}: expected profile {expected}, got {actual}; "
        "restore it, or pass another folder with --output"
    )
