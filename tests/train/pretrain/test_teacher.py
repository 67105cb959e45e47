"""The teacher is Whisper's encoder, wherever its weights came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from phonemo.errors import ModelError
from phonemo.train.pretrain.teacher import MODEL, Teacher, load_teacher
from tests.tiny_nets import make_backbone_folder
from tests.train.pretrain.tiny_teaching import (
    ctranslate2_bytes,
    features_of,
    make_teacher,
    make_wave,
    make_whisper,
)

#: CTranslate2's files do not say how many heads: Whisper's have 64 features each.
WIDE = {"d_model": 128, "encoder_ffn_dim": 32}
SECONDS = 2
HALF = 8000  # samples


def variables_of(encoder: WhisperEncoder) -> dict[str, np.ndarray]:
    """An encoder under CTranslate2's names, and some of what else lies in such a file."""
    state = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    variables = {
        "encoder/num_heads": np.array(2, np.int16),
        "decoder/conv1/weight": np.zeros(3, np.float32),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
        "encoder/layer_norm/gamma": state["layer_norm.weight"],
        "encoder/layer_norm/beta": state["layer_norm.bias"],
    }
    for kind in ("weight", "bias"):
        for name in ("conv1", "conv2"):
            variables[f"encoder/{name}/{kind}"] = state[f"{name}.{kind}"]
    for number in range(len(encoder.layers)):
        ours, theirs = f"layers.{number}.", f"encoder/layer_{number}/"
        q, k, v = (f"{ours}self_attn.{letter}_proj" for letter in "qkv")
        variables[f"{theirs}self_attention/linear_0/weight"] = np.concatenate(
            [state[f"{name}.weight"] for name in (q, k, v)]
        )
        no_bias = np.zeros_like(state[f"{q}.bias"])
        variables[f"{theirs}self_attention/linear_0/bias"] = np.concatenate(
            [state[f"{q}.bias"], no_bias, state[f"{v}.bias"]]
        )
        for old, new in (
            ("self_attn.out_proj", "self_attention/linear_1"),
            ("fc1", "ffn/linear_0"),
            ("fc2", "ffn/linear_1"),
        ):
            for kind in ("weight", "bias"):
                variables[f"{theirs}{new}/{kind}"] = state[f"{ours}{old}.{kind}"]
        for old, new in (("self_attn_layer_norm", "self_attention"), ("final_layer_norm", "ffn")):
            variables[f"{theirs}{new}/layer_norm/gamma"] = state[f"{ours}{old}.weight"]
            variables[f"{theirs}{new}/layer_norm/beta"] = state[f"{ours}{old}.bias"]
    return variables


def write_model(folder: Path, **changes: np.ndarray | None) -> WhisperEncoder:
    """A wide tiny encoder as a CTranslate2 folder; variables changed or left out."""
    encoder = make_whisper(**WIDE).encoder
    variables = variables_of(encoder)
    for name, value in changes.items():
        if value is None:
            del variables[f"encoder/{name}"]
        else:
            variables[f"encoder/{name}"] = value
    (folder / MODEL).write_bytes(ctranslate2_bytes(variables))
    return encoder


def fault(where: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_teacher(str(where))
    assert "\n" not in str(caught.value)
    assert str(where) in str(caught.value)
    return str(caught.value)


def test_conversion_equals_the_encoder(tmp_path):
    encoder = write_model(tmp_path)
    teacher = load_teacher(str(tmp_path), floor_db=60)
    assert (teacher.depth, teacher.hop, teacher.floor) == (2, 320, 6)
    converted = teacher.encoder.state_dict()
    assert converted.keys() == encoder.state_dict().keys()
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(converted[name], tensor), name
    wave = make_wave(0.5)
    for first, second in zip(teacher(wave), Teacher(encoder, 60)(wave), strict=True):
        assert torch.equal(first, second)


def test_conversion_of_half_precision(tmp_path):
    encoder = make_whisper(**WIDE).encoder
    halves = {
        name: value.astype(np.float16) if value.dtype == np.float32 else value
        for name, value in variables_of(encoder).items()
    }
    (tmp_path / MODEL).write_bytes(ctranslate2_bytes(halves))
    converted = load_teacher(str(tmp_path)).encoder
    assert all(tensor.dtype == torch.float32 for tensor in converted.state_dict().values())
    torch.testing.assert_close(
        converted.layers[1].fc1.weight, encoder.layers[1].fc1.weight, atol=1e-3, rtol=1e-3
    )


def test_quantized_weights_are_refused(tmp_path):
    """Their integers mean nothing without their scales."""
    write_model(tmp_path, **{"layer_1/ffn/linear_0/weight": np.zeros((32, 128), np.int8)})
    assert "got a quantized one" in fault(tmp_path)


def test_a_missing_variable_is_named(tmp_path):
    write_model(tmp_path, **{"layer_1/ffn/linear_1/bias": None})
    assert "layer_1/ffn/linear_1/bias" in fault(tmp_path)


def test_a_transformers_folder_is_read(tmp_path):
    whisper = make_whisper()
    whisper.half().save_pretrained(tmp_path)
    loaded = load_teacher(str(tmp_path)).encoder.state_dict()
    for name, tensor in whisper.encoder.state_dict().items():
        assert torch.equal(loaded[name], tensor.float()), name


def test_a_folder_of_another_network_is_refused(tmp_path):
    make_backbone_folder(tmp_path)
    assert "expected a Whisper model" in fault(tmp_path)


def test_an_empty_folder_and_a_missing_folder_are_refused(tmp_path):
    for where in (tmp_path, tmp_path / "nowhere"):
        assert "docs/pretraining.md" in fault(where)


def test_missing_weights_are_refused(tmp_path):
    """transformers would draw them at random and only warn."""
    whisper = make_whisper()
    state = {k: v for k, v in whisper.state_dict().items() if "encoder.layers.1.fc2" not in k}
    whisper.save_pretrained(tmp_path, state_dict=state)
    assert "all weights of a Whisper encoder, got 2 missing, as 'encoder.layers.1.fc2.b" in fault(
        tmp_path
    )


def test_forward_equals_that_of_transformers():
    whisper = make_whisper(positions=SECONDS * 50)
    teacher, wave = Teacher(whisper.encoder), make_wave(SECONDS, clips=2)
    with torch.no_grad():
        theirs = whisper.encoder(features_of(wave), output_hidden_states=True)
    ours = teacher(wave)
    assert len(ours) == len(theirs.hidden_states) == 3
    for first, second in zip(ours[:-1], theirs.hidden_states, strict=False):
        torch.testing.assert_close(first, second, atol=2e-5, rtol=0)
    torch.testing.assert_close(ours[-1], theirs.last_hidden_state, atol=2e-5, rtol=0)
    assert float(ours[-1].mean(dim=-1).abs().max()) < 0.5, "after the closing norm"


def test_the_stem_is_the_first_hidden_state_without_its_positions():
    teacher, wave = make_teacher(), make_wave(1)
    positions = teacher.encoder.embed_positions.weight[:50]
    torch.testing.assert_close(teacher.stem(wave) + positions, teacher(wave)[0])


def test_spectrogram_equals_whispers_at_its_floor():
    wave = make_wave(SECONDS, clips=2)
    wave[1, HALF:] = 0  # digital silence, down to the floor
    torch.testing.assert_close(
        make_teacher().spectrogram(wave), features_of(wave), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("floor_db", [50.0, 80.0])
def test_the_floor_lies_below_the_loudest_of_each_clip(floor_db):
    """A quarter of a unit is a bel in Whisper's scale: (bels + 4) / 4."""
    wave = make_wave(1, clips=2)
    wave[1] *= 0.3
    wave[:, HALF:] = 0
    spectrogram = make_teacher(floor_db).spectrogram(wave)
    depth = spectrogram.amax((1, 2)) - spectrogram.amin((1, 2))
    torch.testing.assert_close(depth, torch.full((2,), floor_db / 40), atol=1e-5, rtol=0)
    quiet = spectrogram[:, :, -10:]
    assert torch.equal(quiet, spectrogram.amin((1, 2), keepdim=True).expand_as(quiet))


def test_a_higher_floor_changes_only_values_below_it():
    wave = make_wave(1)
    whispers, ours = make_teacher(80).spectrogram(wave), make_teacher(50).spectrogram(wave)
    floor = whispers.max() - 50 / 40
    torch.testing.assert_close(ours, whispers.clamp(min=float(floor)))
    assert float(whispers.min()) < float(floor)


def test_other_numbers_of_mel_bands_are_supported():
    encoder = make_whisper(num_mel_bins=128).encoder
    assert Teacher(encoder)(make_wave(0.5))[-1].shape == (1, 25, 16)


def test_the_teacher_is_never_trained():
    teacher = make_teacher()
    assert not teacher.train().training
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    torch.nn.Sequential(teacher).train()
    assert not teacher.encoder.training
    wave = make_wave(0.3).requires_grad_()
    assert not teacher(wave)[-1].requires_grad


def test_clips_up_to_the_number_of_positions_are_accepted():
    teacher = make_teacher()
    assert teacher.longest_seconds == 3
    assert teacher(make_wave(3))[-1].shape == (1, 150, 16)


def test_the_converted_shape_equals_that_of_whisper(tmp_path):
    """The heads and lengths that a conversion makes are those of a saved Whisper."""
    write_model(tmp_path)
    make_whisper(**WIDE).save_pretrained(tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    converted = load_teacher(str(tmp_path)).encoder.config
    for key in ("d_model", "encoder_layers", "encoder_attention_heads", "max_source_positions"):
        assert getattr(converted, key) == config[key]


def test_a_teacher_can_be_cut_to_its_lower_layers(tmp_path):
    make_whisper().save_pretrained(tmp_path)
    full = load_teacher(str(tmp_path))
    cut = load_teacher(str(tmp_path), layers=1)
    assert (full.depth, cut.depth) == (2, 1)
    wave = make_wave(0.5)
    states, expected = cut(wave), full(wave)
    assert len(states) == 2
    torch.testing.assert_close(states[0], expected[0])
    torch.testing.assert_close(states[1], full.encoder.layer_norm(expected[1]))


def test_more_layers_than_the_teachers_are_refused(tmp_path):
    make_whisper().save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match=r"student\.layers of at most 2, its layers, got 3; lower it"
    ):
        load_teacher(str(tmp_path), layers=3)


def test_the_spectrogram_keeps_full_precision_in_mixed_precision():
    teacher, wave = make_teacher(), make_wave(1)
    with torch.autocast("cpu", torch.bfloat16):
        spectrogram = teacher.spectrogram(wave)
    assert spectrogram.dtype == torch.float32
    torch.testing.assert_close(spectrogram, teacher.spectrogram(wave), atol=1e-6, rtol=0)
