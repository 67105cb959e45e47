"""Configs: a docstring for each field, YAML in and out, one-line errors."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from phonemo.config import (
    AugmentConfig,
    AuxiliaryConfig,
    LabelsConfig,
    ModelConfig,
    ProtocolConfig,
    RunConfig,
    TrainConfig,
    load_config,
    write_config,
)
from phonemo.errors import ConfigError
from phonemo.train.experiments.ablation_config import (
    AblationConfig,
    TableConfig,
    TuneConfig,
    arm_config,
    expand,
    load_ablation_config,
)
from tests.laws import REPOSITORY

LEAST: dict[str, Any] = {
    "name": "tiny",
    "manifest": "work/emodb.jsonl",
    "output": "runs/tiny",
    "labels": {"names": ["anger", "neutral"], "merge": {"excited": "anger"}},
    "model": {"backbone": "somewhere/backbone"},
}

SECTIONS: dict[str, type[BaseModel]] = {
    "": RunConfig,
    "labels": LabelsConfig,
    "protocol": ProtocolConfig,
    "model": ModelConfig,
    "model.auxiliary": AuxiliaryConfig,
    "train": TrainConfig,
    "train.augment": AugmentConfig,
}

FIELDS = [(section, name) for section, kind in SECTIONS.items() for name in kind.model_fields]

FRACTIONS = [
    (section, name)
    for section, name in FIELDS
    if "float" in str(SECTIONS[section].model_fields[name].annotation)
]

#: Another valid value of each field for which none can be derived from the default.
OTHERS: dict[str, Any] = {
    "model.statistics": [1, 2],
    "protocol.folds": 5,
    "protocol.folder": "folds",
    "protocol.drop_near_duplicates": 0.6,
    "model.layers": 3,
    "train.augment.noise_snr_db": 10.0,
    "train.save_steps": 50,
    "extra": [{"manifest": "other.jsonl"}],
    "labels.names": ["neutral", "anger"],
    "labels.merge": {},
    "seeds": [1, 2, 3],
}

#: Fields with a single choice, which cannot be changed.
SINGLE = {"model.auxiliary.task"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "tiny.yaml", LEAST)


def write(path: Path, data: object) -> Path:
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def dotted(section: str, name: str) -> str:
    return f"{section}.{name}".lstrip(".")


def fault(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def leaves(data: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict) and dotted(above, name) != "labels.merge":
            yield from leaves(value, dotted(above, name))
        else:
            yield dotted(above, name), value


def other_value(key: str, value: Any) -> Any:
    if key in OTHERS:
        return OTHERS[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 if value else 0.25 if isinstance(value, float) else 7
    section, _, name = key.rpartition(".")
    options = SECTIONS[section].model_json_schema()["properties"][name].get("enum")
    return next(option for option in options if option != value) if options else f"{value}-2"


# ---- laws over every section and field


def test_all_sections_are_tested(path: Path) -> None:
    def sections(section: BaseModel, name: str) -> Iterator[str]:
        yield name
        for field, value in section:
            if isinstance(value, BaseModel):
                yield from sections(value, dotted(name, field))

    assert set(sections(load_config(path), "")) == set(SECTIONS)


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_field_has_a_sentence(section: str, name: str) -> None:
    text = SECTIONS[section].model_fields[name].description or ""
    assert text.endswith(".")
    assert text[0].isupper()
    assert "\n" not in text
    assert len(text.split()) >= 2


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_an_error_that_names_the_known_keys(path: Path, section: str) -> None:
    key = dotted(section, "no_such_key")
    message = fault(path, f"{key}=1")
    keys = ", ".join(SECTIONS[section].model_fields)
    assert message == f"{path}: unknown key {key!r}; known keys: {keys}"


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_no_field_can_be_changed_afterwards(path: Path, section: str, name: str) -> None:
    part_config: Any = load_config(path)
    for part in filter(None, section.split(".")):
        part_config = getattr(part_config, part)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(part_config, name, getattr(part_config, name))


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(("section", "name"), FRACTIONS)
def test_numbers_are_finite(path: Path, section: str, name: str, number: str) -> None:
    assert repr(dotted(section, name)) in fault(path, f"{dotted(section, name)}={number}")


# ---- reading and writing


def test_the_least_config_has_the_papers_defaults(path: Path) -> None:
    config = load_config(path)
    assert config.labels.names == ("anger", "neutral")
    assert config.model.fusion == "cross_attention"
    assert config.model.pooling == "structured"
    assert config.train.strategy == "freeze_cnn"
    assert config.train.select_by == "ua"
    auxiliary = config.model.auxiliary
    assert auxiliary is not None
    assert (auxiliary.inventory, auxiliary.alpha) == ("phonemes", 0.1)
    assert auxiliary.reduction == "per_token"


def test_written_data_reads_back_unchanged(path: Path, tmp_path: Path) -> None:
    config = load_config(
        path,
        [
            "model.auxiliary=null",
            "labels.merge.łza=neutral",
            "train.rate_heads=1e-4",
            "seeds=[3, 1]",
        ],
    )
    path_written = tmp_path / "resolved.yaml"
    write_config(path_written, config)
    assert load_config(path_written) == config
    assert load_config(path_written).digest == config.digest
    assert "łza" in path_written.read_text(encoding="utf-8")


def test_every_default_is_written_out(path: Path, tmp_path: Path) -> None:
    path_written = tmp_path / "resolved.yaml"
    write_config(path_written, load_config(path))
    data = yaml.safe_load(path_written.read_text(encoding="utf-8"))
    assert set(data) == set(RunConfig.model_fields)
    assert set(data["train"]["augment"]) == set(AugmentConfig.model_fields)
    # written only if changed
    arms = {"emotional_phonemes", "emotional_choice", "layer", "gradient", "posteriors"}
    assert set(data["model"]["auxiliary"]) == set(AuxiliaryConfig.model_fields) - arms


@pytest.mark.parametrize("name", ["yes", "007", "1e5", "null"])
def test_names_that_look_like_other_types_survive(path: Path, tmp_path: Path, name: str) -> None:
    config = load_config(path, [f"name='{name}'"])
    write_config(tmp_path / "resolved.yaml", config)
    assert load_config(tmp_path / "resolved.yaml").name == name


def test_overrides_are_yaml_under_dotted_keys_and_the_last_one_wins(path: Path) -> None:
    config = load_config(
        path,
        [
            "train.epochs=3",
            "train.epochs=5",
            "train.rate_heads=1e-4",
            "train.augment.speed=0.1",
            "seeds=[1, 2]",
            "model.auxiliary=null",
            "output=a=b",
        ],
    )
    assert config.train.epochs == 5
    assert config.train.rate_heads == 0.0001
    assert config.train.augment.speed == 0.1
    assert config.seeds == (1, 2)
    assert config.model.auxiliary is None
    assert config.output == "a=b"


def test_an_override_does_not_touch_its_neighbours(path: Path) -> None:
    config = load_config(path, ["train.epochs=5", "labels.merge.calm=neutral"])
    assert config.train.batch_size == TrainConfig().batch_size
    assert config.labels.merge == {"excited": "anger", "calm": "neutral"}


def test_changes_audio_covers_only_waveform_augmentation() -> None:
    assert not AugmentConfig(time_masks=2, feature_masks=2).changes_audio
    assert AugmentConfig(gain_db=3).changes_audio
    assert AugmentConfig(noise_snr_db=0).changes_audio
    assert AugmentConfig(speed=0.1).changes_audio


# ---- faults, each in one line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=0", "key 'train.epochs': Input should be greater than or equal to 1"),
        ("train.epochs=many", "key 'train.epochs': Input should be a valid integer"),
        ("model.fusion=magic", "key 'model.fusion': Input should be 'cross_attention'"),
        ("model.auxiliary.alpha=0", "key 'model.auxiliary.alpha': Input should be greater than 0"),
        ("name=../up", "key 'name': String should match pattern"),
        ("seeds=[]", "key 'seeds'"),
        ("labels.names=anger", "key 'labels.names': Input should be a valid tuple"),
        ("train=5", "key 'train'"),
        ("train.epochs.x=3", "key 'train.epochs'"),
        ("name.x=3", "override 'name.x=3': 'name' has no keys below it"),
        (
            "train.epochs",
            "override KEY=VALUE such as train.epochs=5, got 'train.epochs'",
        ),
        ("=3", "expected an override KEY=VALUE such as train.epochs=5, got '=3'"),
        ("train.epochs=[", "override 'train.epochs=[': expected YAML after '='"),
        ("train.epochs=2001-99-99", "expected YAML after '='"),
        (f"train.epochs={'9' * 5000}", "expected YAML after '='"),
        ("name=!!python/name:os.system", "expected YAML after '='"),
    ],
)
def test_a_wrong_override_is_one_clear_line(path: Path, override: str, message: str) -> None:
    assert message in fault(path, override)


@pytest.mark.parametrize("key", ["name", "manifest", "output", "labels", "model", "model.backbone"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    data = json.loads(json.dumps(LEAST))
    section = data
    *parents, last = key.split(".")
    for parent in parents:
        section = section[parent]
    del section[last]
    path = write(tmp_path / "less.yaml", data)
    assert fault(path) == f"{path}: key {key!r} is missing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a mapping of keys, got NoneType"),
        (b"- a\n", "expected a mapping of keys, got list"),
        (b"a: [\n", "expected YAML"),
        (b"a: 1\n--- \nb: 2\n", "expected YAML"),
        (b"\xff\xfe\x00", "expected YAML"),
        (b"x: 2001-99-99\n", "expected YAML"),
        (b"x: " + b"9" * 5000, "expected YAML"),
        (b"[" * 600, "expected YAML"),
        (b"x: !!python/object/apply:os.system [ls]\n", "expected YAML"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    assert message in fault(path)


def test_a_missing_file_and_a_folder_are_one_clear_line(tmp_path: Path) -> None:
    assert fault(tmp_path / "no.yaml") == f"{tmp_path / 'no.yaml'}: no such config file"
    assert fault(tmp_path) == f"{tmp_path}: no such config file"


def test_a_key_that_is_not_a_string_is_one_clear_line(tmp_path: Path) -> None:
    assert "Keys should be strings" in fault(write(tmp_path / "odd.yaml", {**LEAST, 1: 2}))


# ---- the digest


def test_the_digest_is_the_hash_of_the_resolved_values(path: Path) -> None:
    config = load_config(path)
    data = json.loads(config.model_dump_json())
    del data["output"], data["threads"], data["system"]
    del data["train"]["save_steps"], data["train"]["keep_checkpoints"]
    # added later: configs without these fields keep their digests
    del data["extra"], data["train"]["augment"]["tone_db"], data["train"]["inverse_penalty"]
    del data["model"]["start"], data["model"]["statistics"], data["model"]["head"]
    del data["model"]["pooled"], data["model"]["frames"], data["model"]["moments"]
    text = json.dumps(data, sort_keys=True)
    assert config.digest == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_digest_ignores_key_order_and_explicit_defaults(tmp_path: Path) -> None:
    short = load_config(write(tmp_path / "short.yaml", LEAST))
    backwards = dict(reversed(short.model_dump(mode="json").items()))
    long = tmp_path / "long.yaml"
    long.write_text(yaml.safe_dump(backwards, sort_keys=False), encoding="utf-8")
    assert load_config(long).digest == short.digest


def test_the_digest_is_the_same_in_another_process(path: Path) -> None:
    code = "import sys; from phonemo.config import load_config as l; print(l(sys.argv[1]).digest)"
    command = [sys.executable, "-c", code, str(path)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == load_config(path).digest


#: Paths, speed and the frequency of saving affect no result.
NO_RESULT = ("output", "threads", "train.save_steps", "train.keep_checkpoints")
KEYS = sorted(key for key, _ in leaves(RunConfig.model_validate(LEAST).model_dump(mode="json")))


@pytest.mark.parametrize("key", [key for key in KEYS if key not in SINGLE])
def test_the_digest_covers_every_value_except_paths_and_speed(path: Path, key: str) -> None:
    config = load_config(path)
    value = dict(leaves(config.model_dump(mode="json")))[key]
    # a head without the fusion needs another input
    besides = ["model.statistics=[3]"] if key == "model.pooled" else []
    config = load_config(path, besides)
    changed = load_config(path, [*besides, f"{key}={json.dumps(other_value(key, value))}"])
    assert changed != config
    assert (changed.digest == config.digest) == (key in NO_RESULT)


def test_a_style_is_in_the_digest_and_its_absence_does_not_change_it(path: Path) -> None:
    plain, scripted = load_config(path), load_config(path, ["protocol.style=scripted"])
    improvised = load_config(path, ["protocol.style=improvised"])
    assert plain.digest == "b1ea05402010", "as it was before there were styles"
    assert load_config(path, ["protocol.style=null"]).digest == plain.digest
    assert len({plain.digest, scripted.digest, improvised.digest}) == 3


def test_a_style_is_written_if_set(path: Path, tmp_path: Path) -> None:
    assert "style" not in ProtocolConfig().model_dump()
    assert "style" not in load_config(path).model_dump(mode="json")["protocol"]
    assert set(ProtocolConfig().model_dump()) == {*ProtocolConfig.model_fields} - {"style"}
    assert ProtocolConfig(style="scripted").model_dump()["style"] == "scripted"
    config = load_config(path, ["protocol.style=improvised"])
    write_config(tmp_path / "resolved.yaml", config)
    assert load_config(tmp_path / "resolved.yaml") == config


def test_an_unknown_style_is_an_error(path: Path) -> None:
    assert "key 'protocol.style': Input should be 'scripted'" in fault(path, "protocol.style=read")


def test_a_repeated_seed_is_an_error(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"key 'seeds': .*expected distinct seeds"):
        load_config(path, ["seeds=[1, 2, 1]"])


# ---- lists of sections


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            [{"manifest": "a"}, {"manifest": "b", "reapeat": 2}],
            "unknown key 'extra.1.reapeat'; known keys: manifest, held_out_speakers, "
            "held_out_split, decoder_speakers, repeat",
        ),
        ([{"repeat": 2}], "key 'extra.0.manifest' is missing"),
        ([{"manifest": "a", "repeat": 0}], "key 'extra.0.repeat': Input should be greater"),
        (["a.jsonl"], "key 'extra.0': Input should be a valid dictionary"),
    ],
)
def test_a_fault_in_a_list_of_sections_is_one_clear_line(
    path: Path, extra: Any, message: str
) -> None:
    assert message in fault(write(path, LEAST | {"extra": extra}))


# ---- ablations

TABLE: dict[str, Any] = {"title": "Does it help?", "baseline": "plain", "arms": ["longer"]}
STUDY: dict[str, Any] = {
    "name": "study",
    "output": "runs/study",
    "arms": {"plain": {}, "longer": {"train.epochs": 60}},
    "tables": [TABLE],
}
THREE = {"arms": {"plain": {}, "longer": {"train.epochs": 60}, "wide": {"model.width": 256}}}
SHIPPED = sorted((REPOSITORY / "configs" / "ablations").glob("*.yaml"))


def study(path: Path, **changes: Any) -> AblationConfig:
    """An ablation of the experiment at ``path``."""
    text = yaml.safe_dump(STUDY | {"base": str(path)} | changes, sort_keys=False)
    file = path.with_name("study.yaml")
    file.write_text(text, encoding="utf-8")
    return load_ablation_config(file)


def study_fault(path: Path, **changes: Any) -> str:
    """The error of an ablation, without the file's path."""
    with pytest.raises(ConfigError) as caught:
        expand(study(path, **changes))
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path.with_name('study.yaml')}: ")


@pytest.mark.parametrize("kind", [AblationConfig, TableConfig, TuneConfig])
def test_every_field_of_an_ablation_has_a_sentence(kind: type[BaseModel]) -> None:
    for field in kind.model_fields.values():
        text = field.description or ""
        assert text.endswith(".")
        assert "\n" not in text


def test_an_arm_is_the_base_with_its_changes(path: Path) -> None:
    base, arms = load_config(path), expand(study(path))
    assert list(arms) == ["plain", "longer"]
    assert arms["longer"].train.epochs == 60
    assert arms["plain"].train.epochs == base.train.epochs == 30
    same = {"name": base.name, "output": base.output}
    assert arms["plain"].model_copy(update=same) == base
    longer = arms["longer"].model_copy(update=same)
    assert longer == load_config(path, ["train.epochs=60"])


def test_an_arm_is_named_after_the_study_and_stored_in_its_folder(path: Path) -> None:
    arms = expand(study(path))
    assert [arm.name for arm in arms.values()] == ["study-plain", "study-longer"]
    assert [arm.output for arm in arms.values()] == ["runs/study/plain", "runs/study/longer"]


def test_a_candidate_keeps_the_arms_name_and_has_a_separate_folder(path: Path) -> None:
    config = study(path)
    candidate = arm_config(config, "longer", {"train.rate_heads": 0.0005})
    assert candidate.output == "runs/study/longer@rate_heads=0.0005"
    assert (candidate.name, candidate.train.rate_heads, candidate.train.epochs) == (
        "study-longer",
        0.0005,
        60,
    )
    two = arm_config(config, "longer", {"train.rate_heads": 1e-5, "model.dropout": 0.5})
    assert two.output == "runs/study/longer@rate_heads=1e-05@dropout=0.5"
    assert (two.train.rate_heads, two.model.dropout) == (0.00001, 0.5)


def test_changes_of_every_apply_to_all_arms_unless_overridden(path: Path) -> None:
    write(path, LEAST | {"train": {"epochs": 5, "batch_size": 8}})
    shared = {"train.epochs": 10, "model.auxiliary.alpha": 0.3}
    arms = {"plain": {}, "longer": {"train.epochs": 60, "model.auxiliary": None}}
    config = study(path, every=shared, arms=arms)
    plain, longer = expand(config).values()
    assert [arm.train.batch_size for arm in (plain, longer)] == [8, 8], "of the base"
    assert [arm.train.epochs for arm in (plain, longer)] == [10, 60]
    assert plain.model.auxiliary is not None
    assert plain.model.auxiliary.alpha == 0.3
    assert longer.model.auxiliary is None
    assert arm_config(config, "longer", {"train.epochs": 99}).train.epochs == 99


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.auxiliary", None),
        ("train.cache", False),
        ("seeds", [3, 1]),
        ("train.rate_heads", 1e-5),
        ("labels.merge", {"excited": "neutral"}),
        ("model.backbone", "007"),
        ("manifest", "work/łódź: a #1.jsonl"),
    ],
)
def test_a_change_keeps_the_type_of_its_value(path: Path, key: str, value: Any) -> None:
    arms = {"plain": {}, "longer": {key: value}}
    dump = expand(study(path, arms=arms))["longer"].model_dump(mode="json")
    for part in key.split("."):
        dump = dump[part]
    assert dump == value


def test_overrides_apply_to_an_ablation(path: Path) -> None:
    study(path)
    file = path.with_name("study.yaml")
    config = load_ablation_config(file, ["output=elsewhere", "arms.longer={train.epochs: 7}"])
    arm = expand(config)["longer"]
    assert (arm.output, arm.train.epochs) == ("elsewhere/longer", 7)


def test_all_arms_are_tuned_by_default(path: Path) -> None:
    tune = {"key": "train.rate_heads", "values": [0.1, 0.2]}
    assert study(path).tuned == ()
    assert study(path, tune=tune).tuned == ("plain", "longer")
    assert study(path, tune=tune | {"arms": ["longer", "plain"]}).tuned == ("longer", "plain")


def test_a_table_does_not_compare_tuned_with_untuned_arms(path: Path) -> None:
    tune = {"key": "train.rate_heads", "values": [0.1, 0.2], "arms": ["longer"]}
    with pytest.raises(ConfigError, match=r"with and without tuned .*; tune all of them or none"):
        study(path, tune=tune)


def test_a_section_in_an_arm_changes_only_what_it_names(path: Path) -> None:
    arms = {"plain": {}, "longer": {"train": {"epochs": 7, "augment": {"time_masks": 2}}}}
    config = study(path, arms=arms)
    assert config.arms["longer"] == {"train.epochs": 7, "train.augment.time_masks": 2}
    expanded = expand(config)
    assert expanded["longer"].train.batch_size == expanded["plain"].train.batch_size


def test_every_from_the_command_line_keeps_the_rest_of_the_section(path: Path) -> None:
    before = expand(study(path))["plain"].train
    config = load_ablation_config(path.with_name("study.yaml"), ["every.train.epochs=2"])
    assert expand(config)["plain"].train == before.model_copy(update={"epochs": 2})


@pytest.mark.parametrize("key", ["name", "output"])
def test_an_arm_cannot_change_what_the_ablation_sets(path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"'longer' changes {key}"):
        study(path, arms={"plain": {}, "longer": {key: "mine"}})


def test_a_date_in_an_arm_is_one_line(path: Path) -> None:
    arms = {"plain": {}, "longer": {"train.epochs": date(2001, 1, 1)}}
    with pytest.raises(ConfigError, match=r"arm 'longer' of .*train\.epochs"):
        expand(study(path, arms=arms))


def test_log_mel_needs_full_training(path: Path) -> None:
    with pytest.raises(ConfigError, match="log-mel is not pretrained"):
        load_config(path, ["model.backbone=log-mel", "train.strategy=top_k"])
    load_config(path, ["model.backbone=log-mel", "train.strategy=full"])


def test_a_fault_of_the_whole_config_does_not_print_the_config(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        study(path, tables=[TABLE | {"arms": ["longre"]}])
    assert "found {" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tables": [TABLE | {"arms": ["longre"]}]},
            "expected one of the arms plain, longer, got 'longre'",
        ),
        (
            {"tables": [TABLE | {"baseline": "none"}]},
            "expected one of the arms plain, longer, got 'none'",
        ),
        (THREE, "arm 'wide' is in no table; add it to a table or remove it"),
        (
            {"tables": [TABLE | {"arms": ["longer", "longer"]}]},
            "table 'Does it help?' names an arm twice",
        ),
        (
            {"tables": [TABLE | {"arms": ["longer", "plain"]}]},
            "table 'Does it help?' names an arm twice",
        ),
        (
            {"tune": {"key": "train.epochs", "values": [1, 2], "arms": ["plain", "other"]}},
            "expected one of the arms plain, longer, got 'other'",
        ),
        ({"tune": {"key": "train.epochs", "values": [1]}}, "key 'tune.values': "),
        ({"tune": {"key": "a", "values": [1, 2], "armes": []}}, "unknown key 'tune.armes'; known"),
        ({"tables": []}, "key 'tables': "),
        ({"tables": [TABLE | {"arms": []}]}, "key 'tables.0.arms': "),
        ({"arms": {"plain": {}}}, "key 'arms': "),
        ({"name": "../up"}, "key 'name': String should match pattern"),
    ],
)
def test_arms_and_tables_that_do_not_fit_are_one_clear_line(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    assert message in study_fault(path, **changes)


def test_an_unknown_key_in_a_table_names_the_known_ones(path: Path) -> None:
    message = study_fault(path, tables=[TABLE, TABLE | {"titel": "x"}])
    assert message == "unknown key 'tables.1.titel'; known keys: title, baseline, arms"
    assert "'tables.0.title' is missing" in study_fault(path, tables=[{"titel": "x"}])


@pytest.mark.parametrize(
    ("change", "fault_text"),
    [
        ({"train.epochs": 0}, "key 'train.epochs': Input should be greater than or equal to 1"),
        ({"train.epoch": 3}, "unknown key 'train.epoch'; known keys: strategy, "),
        ({"train.epochs.x": 3}, "key 'train.epochs'"),
        ({"name.x": 3}, "'name' has no keys below it"),
        ({"train.strategy": "logistic"}, "set model.head=linear"),
        ({"": 3}, "expected an override KEY=VALUE"),
    ],
)
def test_a_change_that_does_not_fit_names_the_arm(
    path: Path, change: dict[str, Any], fault_text: str
) -> None:
    message = study_fault(path, arms={"plain": {}, "longer": change})
    assert message.startswith("arm 'longer' of study: ")
    assert fault_text in message


def test_an_arm_with_an_invalid_name_is_an_error_that_names_it(path: Path) -> None:
    arms = {"plain": {}, "../longer": {}}
    message = study_fault(path, arms=arms, tables=[TABLE | {"arms": ["../longer"]}])
    assert message.startswith("arm '../longer' of study: ")
    assert "key 'name': String should match pattern" in message


def test_a_missing_base_is_one_clear_line(path: Path) -> None:
    message = study_fault(path, base="no.yaml")
    assert message == "arm 'plain' of study: no.yaml: no such config file"


def test_some_ablations_ship() -> None:
    assert "paper" in [path.stem for path in SHIPPED]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_ablation_expands(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    config = load_ablation_config(path)
    assert config.name == path.stem
    arms = expand(config)
    assert list(arms) == list(config.arms)
    assert len({arm.output for arm in arms.values()}) == len(arms)
    for arm in config.tuned:
        assert config.tune is not None
        assert arms[arm].train.selects
        for value in config.tune.values:
            assert arm_config(config, arm, {config.tune.key: value}) != arms[arm]
