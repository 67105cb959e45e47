"""Frozen, typed configs, read from and written to YAML.

A config cannot name a class or module to import: every choice comes from a closed list.
"""

from phonemo.config.decoder import DecoderConfig
from phonemo.config.experiment import (
    Alphabet,
    AugmentConfig,
    AuxiliaryConfig,
    DimensionsConfig,
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
    "DecoderConfig",
    "DimensionsConfig",
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
