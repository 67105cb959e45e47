"""The variables of a CTranslate2 file, whole or in parts; what is wrong with it is one line."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from phonemo.errors import ModelError
from phonemo.train.pretrain.teacher import MODEL, has_model, read_variables
from tests.train.pretrain.tiny_teaching import ctranslate2_bytes

BY_HAND = b"".join(
    [
        b"\x06\x00\x00\x00",  # version of the format
        b"\x0c\x00WhisperSpec\x00",
        b"\x03\x00\x00\x00",  # revision of the specification
        b"\x03\x00\x00\x00",  # variables
        b"\x0a\x00encoder/a\x00",
        b"\x02" + b"\x02\x00\x00\x00" + b"\x03\x00\x00\x00",  # rank 2: 2 x 3
        b"\x00" + b"\x18\x00\x00\x00",  # float32, 24 bytes
        struct.pack("<6f", 1.5, 2, 3, 4, 5, -6),
        b"\x10\x00encoder/encoder\x00",
        b"\x00" + b"\x02" + b"\x02\x00\x00\x00" + b"\x08\x00",  # a scalar, int16: 8
        b"\x0a\x00decoder/a\x00",
        b"\x01" + b"\x02\x00\x00\x00" + b"\x04" + b"\x04\x00\x00\x00",
        struct.pack("<2e", 0.5, -0.25),  # float16
        b"\x00\x00\x00\x00",  # aliases
    ]
)


def write_parts(folder: Path, data: bytes, parts: int) -> None:
    size = -(-len(data) // parts)
    for number in range(parts):
        piece = data[number * size : (number + 1) * size]
        (folder / f"{MODEL}.part{number + 1}").write_bytes(piece)


def fault(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_variables(folder, "")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(
        f"{folder}/model.bin: expected a complete CTranslate2 Whisper"
    )
    return str(caught.value)


def test_by_hand(tmp_path):
    (tmp_path / MODEL).write_bytes(BY_HAND)
    variables = read_variables(tmp_path, "encoder/")
    assert list(variables) == ["a", "encoder"], "the prefix goes once, and others stay away"
    np.testing.assert_array_equal(variables["a"], np.array([[1.5, 2, 3], [4, 5, -6]], np.float32))
    assert variables["encoder"].shape == ()
    assert int(variables["encoder"]) == 8
    half = read_variables(tmp_path, "decoder/")["a"]
    assert half.dtype == np.float16
    assert half.tolist() == [0.5, -0.25]


def test_the_test_writer_matches_a_hand_written_file():
    variables = {
        "encoder/a": np.array([[1.5, 2, 3], [4, 5, -6]], np.float32),
        "encoder/encoder": np.array(8, np.int16),
        "decoder/a": np.array([0.5, -0.25], np.float16),
    }
    assert ctranslate2_bytes(variables) == BY_HAND


@pytest.mark.parametrize("parts", [2, 11])
def test_parts_are_joined_by_their_numbers(tmp_path, parts):
    write_parts(tmp_path, BY_HAND, parts)
    (tmp_path / f"{MODEL}.part1.sha256").write_text("not a part")
    assert has_model(tmp_path)
    assert read_variables(tmp_path, "decoder/")["a"].tolist() == [0.5, -0.25]


def test_a_whole_file_takes_precedence_over_parts(tmp_path):
    (tmp_path / MODEL).write_bytes(BY_HAND)
    (tmp_path / f"{MODEL}.part1").write_bytes(b"stale")
    assert set(read_variables(tmp_path, "encoder/")) == {"a", "encoder"}


def test_a_folder_without_a_model_is_refused(tmp_path):
    assert not has_model(tmp_path)
    assert not has_model(tmp_path / "nowhere")
    fault(tmp_path)


@pytest.mark.parametrize("size", [0, 3, 10, 20, 40, 60, 75, 110, len(BY_HAND) - 5])
def test_truncated_files_are_refused(tmp_path, size):
    (tmp_path / MODEL).write_bytes(BY_HAND[:size])
    assert "copy all of its parts" in fault(tmp_path)


def test_the_second_part_alone_is_refused(tmp_path):
    write_parts(tmp_path, BY_HAND, 2)
    (tmp_path / f"{MODEL}.part1").unlink()
    fault(tmp_path)


def test_another_kind_of_network_is_refused(tmp_path):
    (tmp_path / MODEL).write_bytes(ctranslate2_bytes({}, "TransformerSpec"))
    assert "'TransformerSpec'" in fault(tmp_path)


def test_garbage_gives_a_short_message(tmp_path):
    (tmp_path / MODEL).write_bytes(b"\xff" * 70_000)
    assert len(fault(tmp_path)) < 400


def test_an_unknown_type_is_refused(tmp_path):
    data = ctranslate2_bytes({"encoder/a": np.zeros(2, np.float32)})
    kind = data.index(b"encoder/a\0") + 10 + 1 + 4
    (tmp_path / MODEL).write_bytes(data[:kind] + b"\x05" + data[kind + 1 :])
    assert "got 5" in fault(tmp_path)
