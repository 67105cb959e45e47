"""Ray on this machine, or a cluster that runs already: the one way in."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from phonemo.errors import MissingExtraError, RunError

_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


@contextmanager
def ray_session(address: str | None, cpus: int | None) -> Iterator[Any]:
    """Ray, connected; what was started here is stopped at the end.

    Ray listens on all addresses of a machine, and whoever may speak to it may run code. Started
    here it therefore wants a token, which this process makes up; it has no dashboard, and reports
    nothing to anybody.

    Args:
        address: of a cluster: "auto", HOST:PORT or ray://HOST:PORT; None starts Ray here.
        cpus: how many tasks of one processor Ray may run, where it is started here.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: there is no cluster at the address, or Ray does not start.
    """
    ray = needs_ray(address)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    try:
        if address is None:
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise RunError(
            f"no Ray {where} ({' '.join(str(error).split())[:200]}); ray start --head starts a "
            "cluster, and --address names it"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def needs_ray(address: str | None = None) -> Any:
    """The package, told to report nothing; MissingExtraError where it is not installed.

    Args:
        address: as for ``ray_session``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would set CUDA_VISIBLE_DEVICES of what asks for no GPU, and warns that this will change
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None and not any(name in os.environ for name in _AUTHENTICATION):
        # before the import: Ray reads them once
        os.environ |= dict(zip(_AUTHENTICATION, ("token", secrets.token_hex(32)), strict=True))
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray", "batch") from error
    return ray
