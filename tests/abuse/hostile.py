"""Files that want to run something or to lead elsewhere: pickles, code beside a config, headers."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from onnx import TensorProto, load_from_string

from phonemo.files import CHECKSUMS, _write_checksums
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.train.model_folder import save_trained
from tests.tiny_nets import make_backbone_folder, make_network

NESTED = '{"a":' * 100_000
#: Where a payload writes, once it is run.
SENTINEL = "payload-was-run"


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = str(sentinel)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.sentinel,)


def pickled(sentinel: Path) -> bytes:
    """A plain pickle; protocol 2, as torch writes."""
    return pickle.dumps({"weight": Payload(sentinel)}, protocol=2)


def saved(folder: Path, sentinel: Path) -> bytes:
    """What torch.save makes of it."""
    path = folder / "saved.pt"
    torch.save({"weight": Payload(sentinel)}, path)
    content = path.read_bytes()
    path.unlink()
    return content


def code(sentinel: Path) -> str:
    """A module that does the same when it is imported, and has what a config may name."""
    return (
        f"import os\nos.mkdir({str(sentinel)!r})\n"
        "from transformers import Wav2Vec2Config, Wav2Vec2Model, Wav2Vec2FeatureExtractor\n"
        "class Config(Wav2Vec2Config): pass\n"
        "class Model(Wav2Vec2Model): pass\n"
        "class Extractor(Wav2Vec2FeatureExtractor): pass\n"
    )


AUTO_MAP = {
    "AutoConfig": "evil.Config",
    "AutoModel": "evil.Model",
    "AutoFeatureExtractor": "evil.Extractor",
}


def backbone(folder: Path) -> Path:
    """A small one, as transformers saves it."""
    return make_backbone_folder(folder)


def model(folder: Path) -> Path:
    """A small model folder without a phoneme head."""
    network = make_network("wav2vec2-layer")
    config = PhonemoConfig(
        backbone=network.config.to_diff_dict() | {"model_type": network.config.model_type},
        id2label={0: "anger", 1: "neutral"},
        width=8,
        attention_heads=2,
        hops=2,
    )
    save_trained(folder, PhonemoForAudioClassification(config, network), LabelSet(config_names()))
    return folder


def config_names() -> tuple[str, str]:
    """Its emotions."""
    return ("anger", "neutral")


def seal_again(folder: Path) -> None:
    """As whoever changed the files would: the seal proves that a copy is whole, not who made it."""
    (folder / CHECKSUMS).unlink(missing_ok=True)
    _write_checksums(folder)


def change(path: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def fresh(source: Path, target: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(source, target))


def headed(text: str, length: int | None = None, data: bytes = b"") -> bytes:
    """A safetensors file with this header, which may lie about its length."""
    size = len(text.encode()) if length is None else length
    return size.to_bytes(8, "little") + text.encode() + data


def with_external_data(content: bytes, location: str) -> tuple[bytes, int]:
    """An ONNX file whose largest weights are in another; and how many bytes that has to have."""
    network = load_from_string(content)
    largest = max(network.graph.initializer, key=lambda one: len(one.raw_data))
    size = len(largest.raw_data)
    largest.ClearField("raw_data")
    largest.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(size)}.items():
        entry = largest.external_data.add()
        entry.key, entry.value = key, value
    return network.SerializeToString(), size


_FOUR = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
#: Files of safetensors whose header is not true.
HEADERS = {
    "too long": headed("{}", 2**62),
    "longer than the file": headed("{}", 1000),
    "no length": b"",
    "nested": headed(NESTED[:50_000]),
    "no JSON": headed("[1"),
    "no tensors": headed("{}"),
    "overlapping": headed(f'{{"a":{_FOUR},"b":{_FOUR}}}', data=bytes(4)),
    "beyond the file": headed('{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
    "twice": headed(f'{{"a":{_FOUR},"a":{_FOUR}}}', data=bytes(4)),
    "another size": headed('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}', data=bytes(4)),
    "negative": headed('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[4,0]}}', data=bytes(4)),
    "overflowing": headed(
        f'{{"a":{{"dtype":"F32","shape":[{2**63},{2**63}],"data_offsets":[0,4]}}}}', data=bytes(4)
    ),
}

#: Opens folders with little memory and time; says what came of each.
OPENS = """
import json, resource, signal, sys
from phonemo.errors import CheckpointError
from phonemo.runtime.bundle import open_bundle
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
said = {}
for folder in sys.argv[1:]:
    signal.alarm(60)
    try:
        open_bundle(folder)
        said[folder] = "opened"
    except CheckpointError as error:
        said[folder] = str(error)
    except BaseException as error:
        said[folder] = f"FAULT {type(error).__name__}"
status = open("/proc/self/status").read()  # what getrusage says is also the parent's
print(json.dumps([said, int(status.partition("VmHWM:")[2].split()[0]) / 1024]))
"""


def _sparse(path: Path) -> None:
    os.truncate(path, 2**42)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _nested(path: Path) -> None:
    path.write_text(NESTED)


def _padded(path: Path) -> None:
    """64 MiB of spaces before the card."""
    path.write_bytes(b" " * 2**26 + path.read_bytes())


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


#: What is done to one file of a bundle.
SPOILT = (_sparse, _device, _pipe, _nested, _padded, _folder)
