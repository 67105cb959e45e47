"""The teacher: a Whisper encoder (Radford et al. 2022, MIT), run on clips of any length.

transformers' own encoder wants windows of 30 s; speech of three seconds would cost ten times what
it has to, so its parts are run here one by one.

Reads the variables of a CTranslate2 model file, so that the teacher needs no model hub.

The layout (little-endian, from CTranslate2's model specification): version, name of the
specification, its revision, number of variables; then for each its name, rank, dimensions, type,
bytes and values. Strings have their length with a closing zero in front. The file may be cut
into parts ``model.bin.part1``, ``model.bin.part2`` ..., as some packages ship it.
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
    """Whether a folder holds such a file, whole or in parts."""
    return bool(_parts(folder))


def read_variables(folder: Path, prefix: str) -> Variables:
    """The variables whose names begin with ``prefix``, without it, as they are stored.

    Raises:
        ModelError: the file is absent, cut short, or of another kind of network.
    """
    data = b"".join(path.read_bytes() for path in _parts(folder))
    try:
        found = _Reader(data).variables()
    except (struct.error, ValueError) as error:
        raise ModelError(
            f"{folder}/{MODEL}: not a whole CTranslate2 Whisper model ({error}); "
            "put all of its parts there"
        ) from error
    return {
        name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)
    }


def _parts(folder: Path) -> list[Path]:
    whole = folder / MODEL
    if whole.is_file():
        return [whole]
    numbered = [path for path in folder.glob(f"{MODEL}.part*") if path.suffix[5:].isdigit()]
    return sorted(numbered, key=lambda path: int(path.suffix[5:]))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def variables(self) -> Variables:
        self._number("I")
        name = self._text()
        if name != _SPECIFICATION:
            raise ValueError(f"it holds a {name[:40]!r}")
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
            raise ValueError(f"values of type {number}, known are 0 to {max(_TYPES)}")
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


#: Samples between two frames of the spectrogram, and in its window.
HOP = 160
WINDOW = 400


class Teacher(nn.Module):
    """Waveforms to the hidden states of a Whisper encoder; it never learns.

    Args:
        encoder: transformers' WhisperEncoder.
        floor_db: what is so far below the loudest part of a clip counts as silence; Whisper's own
            80 dB is the default.
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
        """Always in evaluation mode."""
        return super().train(False)

    @property
    def depth(self) -> int:
        """The number of Transformer layers."""
        return len(self.encoder.layers)

    @property
    def hop(self) -> int:
        """Samples between two frames of the hidden states: its second convolution halves them."""
        return 2 * HOP

    @property
    def longest_seconds(self) -> float:
        """The longest clip it has positions for: 30 s."""
        frames: int = self.encoder.embed_positions.weight.shape[0]
        return frames * self.hop / RATE

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Whisper's log-mel spectrogram of (batch, sample): (batch, feature, frame)."""
        with torch.autocast(waveform.device.type, enabled=False):  # its range needs all digits
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
        """What its two convolutions make of (batch, sample): (batch, frame, feature)."""
        signal = nn.functional.gelu(self.encoder.conv1(self.spectrogram(waveform)))
        found: Tensor = nn.functional.gelu(self.encoder.conv2(signal)).transpose(1, 2)
        return found

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Hidden states of (batch, sample), each (batch, frame, feature).

        The first is the input of the Transformer, positions included; the last is after the
        closing layer norm.
        """
        hidden = self.stem(waveform)
        hidden = hidden + self.encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in self.encoder.layers:
            found = layer(hidden, None)
            hidden = found[0] if isinstance(found, tuple) else found
            states.append(hidden)
        states[-1] = self.encoder.layer_norm(hidden)
        return states


def load_teacher(where: str, floor_db: float = 80.0, layers: int | None = None) -> Teacher:
    """A teacher from a hub id, a transformers folder, or a folder with a CTranslate2 model.

    Args:
        where: which of these.
        floor_db: as in Teacher.
        layers: how many Transformer layers it keeps, from the bottom; its closing layer norm
            then follows the last of these. None keeps all.

    Raises:
        ModelError: nothing there can be read as a Whisper encoder, or it has fewer layers.
    """
    teacher = Teacher(_read(where), floor_db)
    if layers is not None:
        if layers > teacher.depth:
            raise ModelError(
                f"teacher {where!r}: it has {teacher.depth} layers, student.layers is {layers}; "
                "lower it"
            )
        del teacher.encoder.layers[layers:]
    return teacher


def _read(where: str) -> WhisperEncoder:
    folder = Path(where)
    if has_model(folder):
        return _converted(folder)
    try:
        config = read_config(WhisperConfig, where)
        whisper, missing, _ = read_network(WhisperModel, where, config)
    except ForeignError as error:
        raise ModelError(
            f"teacher {where!r}: no Whisper model there ({error}); name a folder with a "
            "CTranslate2 model.bin (see docs/pretraining.md), a transformers folder or a hub id"
        ) from error
    _check_complete(where, {name for name in missing if "encoder." in name})
    encoder: WhisperEncoder = whisper.encoder
    return encoder


def _check_complete(where: str, missing: set[str]) -> None:
    """Transformers draws what it does not find; a teacher must not be made up."""
    if missing:
        raise ModelError(
            f"teacher {where!r}: {len(missing)} weights of a Whisper encoder are missing, as "
            f"{min(missing)!r}; another model is wanted"
        )


def _converted(folder: Path) -> WhisperEncoder:
    """CTranslate2's variables as transformers' encoder; k's bias is always zero in Whisper."""
    stored = read_variables(folder, "encoder/")
    if any(value.ndim and value.dtype.kind != "f" for value in stored.values()):
        raise ModelError(
            f"{folder}: a CTranslate2 model of rounded weights; one in float16 or float32 is wanted"
        )
    found = {name: torch.from_numpy(value.astype(np.float32)) for name, value in stored.items()}
    try:
        return _encoder(found)
    except KeyError as error:
        raise ModelError(
            f"{folder}: a CTranslate2 model without the encoder's {error}; another one is wanted"
        ) from error


def _encoder(found: dict[str, Tensor]) -> WhisperEncoder:
    width, mels, _ = found["conv1/weight"].shape
    layers = sum(name.endswith("self_attention/linear_0/weight") for name in found)
    config = WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=width // 64,
        encoder_ffn_dim=found["layer_0/ffn/linear_0/bias"].shape[0],
        num_mel_bins=mels,
        max_source_positions=len(found["position_encodings/encodings"]),
    )
    encoder = WhisperEncoder(config)
    encoder.load_state_dict(_renamed(found, layers))
    return encoder


def _renamed(found: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    state = {"embed_positions.weight": found["position_encodings/encodings"]}
    state |= _pair(found, "layer_norm", "layer_norm", ("gamma", "beta"))
    for name in ("conv1", "conv2"):
        state |= _pair(found, name, name)
    for number in range(layers):
        state |= _layer(found, f"layer_{number}/", f"layers.{number}.")
    return state


def _layer(found: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    state = _pair(found, f"{old}self_attention/linear_1", f"{new}self_attn.out_proj")
    state |= _pair(found, f"{old}ffn/linear_0", f"{new}fc1")
    state |= _pair(found, f"{old}ffn/linear_1", f"{new}fc2")
    norms = {"self_attention": "self_attn_layer_norm", "ffn": "final_layer_norm"}
    for place, name in norms.items():
        state |= _pair(found, f"{old}{place}/layer_norm", new + name, ("gamma", "beta"))
    weights = found[f"{old}self_attention/linear_0/weight"].chunk(3)
    biases = found[f"{old}self_attention/linear_0/bias"].chunk(3)
    for letter, weight, bias in zip("qkv", weights, biases, strict=True):
        state[f"{new}self_attn.{letter}_proj.weight"] = weight
        if letter != "k":
            state[f"{new}self_attn.{letter}_proj.bias"] = bias
    return state


def _pair(
    found: dict[str, Tensor], old: str, new: str, names: tuple[str, str] = ("weight", "bias")
) -> dict[str, Tensor]:
    return {f"{new}.weight": found[f"{old}/{names[0]}"], f"{new}.bias": found[f"{old}/{names[1]}"]}
