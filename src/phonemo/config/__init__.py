"""Configs: frozen, typed data with a sentence under each field; YAML in, YAML out.

Nothing in a config names a class or a path to import: a choice is a name from a closed list.
"""

from phonemo.config.experiment import (
    Alphabet,
    AugmentConfig,
    AuxiliaryConfig,
    ExtraConfig,
    Inventory,
    LabelsConfig,
    ModelConfig,
    ProtocolConfig,
    RunConfig,
    TrainConfig,
    load_config,
)
from phonemo.config.loading import BaseConfig, digest_of, load_section, write_config

__all__ = [
    "Alphabet",
    "AugmentConfig",
    "AuxiliaryConfig",
    "BaseConfig",
    "ExtraConfig",
    "Inventory",
    "LabelsConfig",
    "ModelConfig",
    "ProtocolConfig",
    "RunConfig",
    "TrainConfig",
    "digest_of",
    "load_config",
    "load_section",
    "write_config",
]
