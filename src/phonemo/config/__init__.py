"""Configs: frozen, typed data with a sentence under each field; YAML in, YAML out.

Nothing in a config names a class or a path to import: a choice is a name from a closed list.
"""

from phonemo.config.ablation import (
    AblationConfig,
    TableConfig,
    TuneConfig,
    arm_config,
    expand,
    load_ablation_config,
)
from phonemo.config.loading import write_config
from phonemo.config.pretrain import (
    HearingConfig,
    PretrainConfig,
    StageConfig,
    StudentConfig,
    load_pretrain_config,
)
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
    load_config,
)
from phonemo.config.serve import ServeAccess, ServeConfig, ServeLimits, load_serve_config
from phonemo.config.transfer import (
    OneSidedConfig,
    SystemConfig,
    TrainTemplate,
    TransferConfig,
    WithinConfig,
    load_transfer_config,
)

__all__ = [
    "AblationConfig",
    "Alphabet",
    "AugmentConfig",
    "AuxiliaryConfig",
    "ExtraConfig",
    "HearingConfig",
    "Inventory",
    "LabelsConfig",
    "ModelConfig",
    "OneSidedConfig",
    "PretrainConfig",
    "ProtocolConfig",
    "RunConfig",
    "ServeAccess",
    "ServeConfig",
    "ServeLimits",
    "StageConfig",
    "StudentConfig",
    "SystemConfig",
    "TableConfig",
    "TrainConfig",
    "TrainTemplate",
    "TransferConfig",
    "TuneConfig",
    "WithinConfig",
    "arm_config",
    "expand",
    "load_ablation_config",
    "load_config",
    "load_pretrain_config",
    "load_serve_config",
    "load_transfer_config",
    "write_config",
]
