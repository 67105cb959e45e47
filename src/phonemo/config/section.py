"""What every section of a config has in common."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, typed, strict about its keys, and with a sentence under each field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def digest_of(config: Section, without: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that name a config; ``without`` are keys that change no result."""
    data = config.model_dump(mode="json", exclude=without)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
