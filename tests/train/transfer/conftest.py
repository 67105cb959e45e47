"""What the tests of transfer studies share."""

from __future__ import annotations

from tests.train.transfer.planted import network

__all__ = ["network"]
