"""Configs: frozen, typed data with a sentence under each field; YAML in, YAML out.

Nothing in a config names a class or a path to import: a choice is a name from a closed list.
"""

from phonemo.config.loading import load_config, load_pretrain_config, write_config
from phonemo.config.pretrain import HearingConfig, PretrainConfig, StageConfig, StudentConfig
from phonemo.config.run import (
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
)

__all__ = [
    "Alphabet",
    "AugmentConfig",
    "AuxiliaryConfig",
    "ExtraConfig",
    "HearingConfig",
    "Inventory",
    "LabelsConfig",
    "ModelConfig",
    "PretrainConfig",
    "ProtocolConfig",
    "RunConfig",
    "StageConfig",
    "StudentConfig",
    "TrainConfig",
    "load_config",
    "load_pretrain_config",
    "write_config",
]
