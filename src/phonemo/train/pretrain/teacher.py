"""The teacher: a Whisper encoder (Radford et al. 2022, MIT), run on clips of any length.

transformers' encoder requires windows of 30 s, ten times the cost for three seconds of speech, so
its modules are called here one by one.

Weights can be read from a CTranslate2 model file, which needs no model hub. Its layout
(little-endian, from CTranslate2's model specification): version, name of the specification, its
revision, number of variables; then for each variable its name, rank, dimensions, type, size in
bytes and values. Strings are zero-terminated and preceded by their length, the zero included. The
file may be split into ``model.bin.part1``, ``model.bin.part2`` ..., as some packages ship it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperModel
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from phonemo.audio import RATE
from phonemo.errors import ModelError
from phonemo.model.pretrained import ForeignError, read_config, read_network

MODEL = "model.bin"
_SPECIFICATION = "WhisperSpec"
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

Variables = dict[str, NDArray[np.generic]]


def has_model(folder: Path) -> bool:
    """Whether a folder holds a CTranslate2 model file, whole or in parts."""
    return bool(_parts(folder))


def read_variables(folder: Path, prefix: str) -> Variables:
    """Read the variables whose names begin with ``prefix``, which is removed, in stored types.

    Raises:
        ModelError: the file is absent, truncated, or of another kind of network.
    """
    data = b"".join(path.read_bytes() for path in _parts(folder))
    try:
        variables = _Reader(data).variables()
    except (struct.error, ValueError) as error:
        raise ModelError(
            f"{folder}/{MODEL}: expected a complete CTranslate2 Whisper model, got another file "
            f"({error}); copy all of its parts"
        ) from error
    return {
        name.removeprefix(prefix): value
        for name, value in variables.items()
        if name.startswith(prefix)
    }


def _parts(folder: Path) -> list[Path]:
    path = folder / MODEL
    if path.is_file():
        return [path]
    parts = [part for part in folder.glob(f"{MODEL}.part*") if part.suffix[5:].isdigit()]
    return sorted(parts, key=lambda part: int(part.suffix[5:]))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def variables(self) -> Variables:
        self._number("I")
        name = self._text()
        if name != _SPECIFICATION:
            raise ValueError(f"expected a {_SPECIFICATION}, got a {name[:40]!r}")
        self._number("I")
        return dict(self._variable() for _ in range(self._number("I")))

    def _variable(self) -> tuple[str, NDArray[np.generic]]:
        name = self._text()
        shape = [self._number("I") for _ in range(self._number("B"))]
        kind = self._type()
        size = self._number("I")
        values = np.frombuffer(self.data, kind, size // kind.itemsize, self.place)
        self.place += size
        return name, values.reshape(shape)

    def _type(self) -> np.dtype[Any]:
        number = self._number("B")
        if number not in _TYPES:
            raise ValueError(f"expected a type of 0 to {max(_TYPES)}, got {number}")
        return np.dtype(_TYPES[number]).newbyteorder("<")

    def _text(self) -> str:
        size = self._number("H")
        text = self.data[self.place : self.place + size - 1]
        self.place += size
        return text.decode("utf-8", errors="replace")

    def _number(self, kind: str) -> int:
        value: int = struct.unpack_from(f"<{kind}", self.data, self.place)[0]
        self.place += struct.calcsize(f"<{kind}")
        return value


#: Samples between two spectrogram frames, and in a window.
HOP = 160
WINDOW = 400


class Teacher(nn.Module):
    """A frozen Whisper encoder that maps waveforms to hidden states.

    Args:
        encoder: transformers' WhisperEncoder.
        floor_db: dynamic range of the spectrogram below a clip's maximum; Whisper's 80 dB is the
            default.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, encoder: WhisperEncoder, floor_db: float = 80.0) -> None:
        super().__init__()
        self.encoder: Any = encoder.eval().requires_grad_(False)
        self.floor = floor_db / 10
        mels = encoder.config.num_mel_bins
        bank = mel_filter_bank(1 + WINDOW // 2, mels, 0, RATE / 2, RATE, "slaney", "slaney")
        self.register_buffer("filters", torch.from_numpy(bank.T).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode."""
        return super().train(False)

    @property
    def depth(self) -> int:
        """Return the number of Transformer layers."""
        return len(self.encoder.layers)

    @property
    def hop(self) -> int:
        """Return samples per hidden frame: the second convolution halves the frame rate."""
        return 2 * HOP

    @property
    def longest_seconds(self) -> float:
        """Return the longest clip it has positions for: 30 s."""
        frames: int = self.encoder.embed_positions.weight.shape[0]
        return frames * self.hop / RATE

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Compute Whisper's log-mel spectrogram of (batch, sample): (batch, feature, frame)."""
        with torch.autocast(
            waveform.device.type, enabled=False
        ):  # the dynamic range needs full precision
            spectrum = torch.stft(
                waveform, WINDOW, HOP, window=self.window, center=True, return_complex=True
            )
            power = spectrum[..., :-1].abs().square()
            bels = (self.filters @ power).clamp(min=1e-10).log10()
        bels = torch.maximum(bels, bels.amax((1, 2), keepdim=True) - self.floor)
        scaled: Tensor = (bels + 4.0) / 4.0
        return scaled

    @torch.no_grad()
    def stem(self, waveform: Tensor) -> Tensor:
        """Run the two convolutions on (batch, sample): (batch, frame, feature)."""
        signal = nn.functional.gelu(self.encoder.conv1(self.spectrogram(waveform)))
        features: Tensor = nn.functional.gelu(self.encoder.conv2(signal)).transpose(1, 2)
        return features

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Compute the hidden states of (batch, sample), each (batch, frame, feature).

        The first is the Transformer's input, positions included; the last is after the final
        layer norm.
        """
        hidden = self.stem(waveform)
        hidden = hidden + self.encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in self.encoder.layers:
            output = layer(hidden, None)
            hidden = output[0] if isinstance(output, tuple) else output
            states.append(hidden)
        states[-1] = self.encoder.layer_norm(hidden)
        return states


def load_teacher(where: str, floor_db: float = 80.0, layers: int | None = None) -> Teacher:
    """Load a teacher from a hub id, a transformers folder, or a CTranslate2 folder.

    Args:
        where: the hub id or folder.
        floor_db: as in Teacher.
        layers: number of Transformer layers to keep, from the bottom; the final layer norm then
            follows the last of these. None keeps all.

    Raises:
        ModelError: it is not a readable Whisper encoder, or it has fewer layers.
    """
    teacher = Teacher(_read(where), floor_db)
    if layers is not None:
        if layers > teacher.depth:
            raise ModelError(
                f"teacher {where!r}: expected student.layers of at most {teacher.depth}, its "
                f"layers, got {layers}; lower it"
            )
        del teacher.encoder.layers[layers:]
    return teacher


def _read(where: str) -> WhisperEncoder:
    folder = Path(where)
    if has_model(folder):
        return _convert(folder)
    try:
        config = read_config(WhisperConfig, where)
        whisper, missing, _ = read_network(WhisperModel, where, config)
    except ForeignError as error:
        raise ModelError(
            f"teacher {where!r}: expected a Whisper model, got none ({error}); name a folder with "
            "a CTranslate2 model.bin (see docs/pretraining.md), a transformers folder or a hub id"
        ) from error
    _check_complete(where, {name for name in missing if "encoder." in name})
    encoder: WhisperEncoder = whisper.encoder
    return encoder


def _check_complete(where: str, missing: set[str]) -> None:
    """Refuse missing weights, which transformers would initialize at random."""
    if missing:
        raise ModelError(
            f"teacher {where!r}: expected all weights of a Whisper encoder, got {len(missing)} "
            f"missing, as {min(missing)!r}; name another model"
        )


def _convert(folder: Path) -> WhisperEncoder:
    """Convert CTranslate2's variables; the bias of k is always zero in Whisper."""
    stored = read_variables(folder, "encoder/")
    if any(value.ndim and value.dtype.kind != "f" for value in stored.values()):
        raise ModelError(
            f"{folder}: expected a CTranslate2 model in float16 or float32, got a quantized one; "
            "convert it again without quantization"
        )
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in stored.items()}
    try:
        return _encoder(tensors)
    except KeyError as error:
        raise ModelError(
            f"{folder}: expected a CTranslate2 model with the encoder's {error}, got one without; "
            "name another"
        ) from error


def _encoder(tensors: dict[str, Tensor]) -> WhisperEncoder:
    width, mels, _ = tensors["conv1/weight"].shape
    layers = sum(name.endswith("self_attention/linear_0/weight") for name in tensors)
    config = WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=width // 64,
        encoder_ffn_dim=tensors["layer_0/ffn/linear_0/bias"].shape[0],
        num_mel_bins=mels,
        max_source_positions=len(tensors["position_encodings/encodings"]),
    )
    encoder = WhisperEncoder(config)
    encoder.load_state_dict(_state_dict(tensors, layers))
    return encoder


def _state_dict(tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    state = {"embed_positions.weight": tensors["position_encodings/encodings"]}
    state |= _pair(tensors, "layer_norm", "layer_norm", ("gamma", "beta"))
    for name in ("conv1", "conv2"):
        state |= _pair(tensors, name, name)
    for number in range(layers):
        state |= _layer(tensors, f"layer_{number}/", f"layers.{number}.")
    return state


def _layer(tensors: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    state = _pair(tensors, f"{old}self_attention/linear_1", f"{new}self_attn.out_proj")
    state |= _pair(tensors, f"{old}ffn/linear_0", f"{new}fc1")
    state |= _pair(tensors, f"{old}ffn/linear_1", f"{new}fc2")
    norms = {"self_attention": "self_attn_layer_norm", "ffn": "final_layer_norm"}
    for place, name in norms.items():
        state |= _pair(tensors, f"{old}{place}/layer_norm", new + name, ("gamma", "beta"))
    weights = tensors[f"{old}self_attention/linear_0/weight"].chunk(3)
    biases = tensors[f"{old}self_attention/linear_0/bias"].chunk(3)
    for letter, weight, bias in zip("qkv", weights, biases, strict=True):
        state[f"{new}self_attn.{letter}_proj.weight"] = weight
        if letter != "k":
            state[f"{new}self_attn.{letter}_proj.bias"] = bias
    return state


def _pair(
    tensors: dict[str, Tensor], old: str, new: str, names: tuple[str, str] = ("weight", "bias")
) -> dict[str, Tensor]:
    return {
        f"{new}.weight": tensors[f"{old}/{names[0]}"],
        f"{new}.bias": tensors[f"{old}/{names[1]}"],
    }
