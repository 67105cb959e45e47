"""Cases 21 and 22: files of others are read as data; what wants to be more is refused."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from phonemo.config import load_config, loading
from phonemo.errors import CheckpointError, ConfigError, PhonemoError
from phonemo.model.pretrained import load_backbone
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.server.settings import load_serve_config
from phonemo.train import checkpointing, feature_cache
from phonemo.train.experiments.ablation_config import load_ablation_config
from phonemo.train.model_folder import load_trained
from phonemo.train.pretrain.pretrain_config import load_pretrain_config
from phonemo.train.pretrain.teacher import load_teacher
from tests.abuse import hostile
from tests.abuse.figures import figure
from tests.abuse.hostile import HEADERS, NESTED, change, seal_again
from tests.batch.batches import assert_one_line, batch, clips, inline, parts
from tests.laws import NEVER, REPOSITORY
from tests.source import Source, dotted, read_package
from tests.tiny_bundle import BUNDLE


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """A backbone and a model, as good as new."""
    home = tmp_path_factory.mktemp("sources")
    return {"backbone": hostile.backbone(home / "b"), "model": hostile.model(home / "m")}


@pytest.fixture
def sentinel(tmp_path) -> Path:
    """What a payload makes; and whoever asks on standard input is told yes."""
    found = tmp_path / hostile.SENTINEL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO("y\n" * 10))
        yield found
        assert not found.exists(), "the payload was run"


def as_backbone(folder: Path) -> object:
    return load_backbone(str(folder))


def as_model(folder: Path) -> object:
    seal_again(folder)
    return load_trained(folder)


#: How a folder of others is opened: which folder, and by what.
OPENERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "backbone": ("backbone", as_backbone),
    "model": ("model", as_model),
    "model as backbone": ("model", as_backbone),
}


@pytest.fixture(params=OPENERS)
def opener(request, sources, tmp_path) -> tuple[Path, Callable[[Path], object]]:
    """A folder to spoil, and what opens it."""
    kind, opened = OPENERS[request.param]
    return hostile.fresh(sources[kind], tmp_path / "theirs"), opened


def refused(call: Callable[..., object], *arguments: Any) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(PhonemoError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


# 21: pickles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "adapter_model.bin"])
def test_case_21_a_pickle_in_the_place_of_weights_is_refused(opener, sentinel, kind, name):
    folder, opened = opener
    content = hostile.pickled(sentinel)
    if kind == "torch":
        content = hostile.saved(folder, sentinel)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    if name.startswith("adapter"):
        text = {"peft_type": "LORA", "base_model_name_or_path": str(folder), "r": 1}
        (folder / "adapter_config.json").write_text(json.dumps(text))
    assert str(folder) in refused(opened, folder)


def test_case_21_pickles_beside_the_weights_are_never_opened(opener, sentinel):
    folder, opened = opener
    names = ("training_args.bin", "optimizer.pt", "rng_state.pth", "scheduler.pt", "tokenizer.json")
    for name in (*names, "vocab.json", "special_tokens_map.json", "preprocessor.pkl"):
        (folder / name).write_bytes(hostile.pickled(sentinel))
    assert opened(folder) is not None


def test_case_21_a_seal_by_someone_else_does_not_cover_a_pickle(sources, tmp_path, sentinel):
    """Put beside sealed weights afterwards, where transformers might prefer it."""
    folder = hostile.fresh(sources["model"], tmp_path / "theirs")
    (folder / "pytorch_model.bin").write_bytes(hostile.pickled(sentinel))
    assert "not listed in checkpoint.json" in refused(load_trained, folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "model.bin"])
def test_case_21_a_teacher_that_is_a_pickle_is_refused(tmp_path, sentinel, name):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    (tmp_path / name).write_bytes(hostile.pickled(sentinel))
    refused(load_teacher, str(tmp_path))


@pytest.mark.parametrize("name", [checkpointing.WEIGHTS, checkpointing.OPTIMISER])
def test_case_21_a_checkpoint_that_is_a_pickle_is_refused(tmp_path, sentinel, name):
    """Sealed like a good one."""
    (tmp_path / name).write_bytes(hostile.pickled(sentinel))
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters())
    seal_again(tmp_path)
    if name == checkpointing.WEIGHTS:
        refused(checkpointing.load_weights, tmp_path, network)
    else:
        refused(checkpointing.load_optimizer, tmp_path, optimizer, None)


@pytest.mark.parametrize("lie", ["objects", "pickle", "shape", "zip", "header"])
def test_case_21_kept_features_that_are_no_numbers_are_made_anew(tmp_path, sentinel, lie):
    path = tmp_path / "lower.npy"
    if lie == "objects":
        np.save(path, np.array([hostile.Payload(sentinel)], dtype=object), allow_pickle=True)
    elif lie == "pickle":
        path.write_bytes(hostile.pickled(sentinel))
    elif lie == "zip":
        np.savez(path.with_suffix(".npz"), a=np.array([hostile.Payload(sentinel)], dtype=object))
        path.with_suffix(".npz").rename(path)
    else:
        np.save(path, np.zeros((3, 2), np.float32))
        told = {"shape": b"(3,99)", "header": b"(3, 2,"}[lie]
        path.write_bytes(path.read_bytes().replace(b"(3, 2)", told))
    (tmp_path / "index.json").write_text('{"names": ["lower"], "places": {"a": [0, 3]}}')
    assert not feature_cache._is_complete(tmp_path)


def test_case_21_kept_functionals_that_are_no_numbers_are_noticed(tmp_path, sentinel, monkeypatch):
    from phonemo.corpora.manifest import read_manifest
    from phonemo.train.callbacks import RunProgress
    from phonemo.train.experiments.baselines import egemaps
    from tests.train.tiny_run import make_corpus

    class Smile:
        __version__ = "0"

    monkeypatch.setattr(egemaps, "_opensmile", Smile)
    manifest = read_manifest(make_corpus(tmp_path / "corpus", takes=1))
    asked = tmp_path / "cache", manifest, list(manifest.utterances), RunProgress()
    filled = []

    def fill(path: Path, *_: object) -> None:
        filled.append(path)
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.zeros((len(manifest.utterances), 2)))

    monkeypatch.setattr(egemaps, "_compute_all", fill)
    egemaps.functionals(*asked)
    np.save(filled[0], np.array([hostile.Payload(sentinel)], dtype=object), allow_pickle=True)
    with contextlib.suppress(PhonemoError):  # or made anew
        assert len(egemaps.functionals(*asked)) == len(manifest.utterances)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, with a recording; the local engine hears in this process."""
    from phonemo.batch import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(run.ENGINES, "local", inline)
    clips(tmp_path / "in", "a.wav")
    return tmp_path


@pytest.mark.parametrize("name", ["list.txt", "rows.jsonl", "rows.csv", "rows.parquet", "a.wav"])
def test_case_21_a_batch_of_a_pickle_is_refused(here, sentinel, name):
    (here / name).write_bytes(hostile.pickled(sentinel))
    answer = batch(name, "-o", "out", "-q")
    assert answer.code == 1
    assert "Traceback" not in answer.err


def test_case_21_parquet_with_a_pickled_type_is_read_as_plain_columns(here, sentinel):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    told = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": hostile.pickled(sentinel),
    }
    field = pyarrow.field("file", pyarrow.string(), metadata=told)
    table = pyarrow.table([["in/a.wav"]], schema=pyarrow.schema([field]))
    parquet.write_table(table, here / "rows.parquet")
    answer = batch("rows.parquet", "-o", "out", "-q")
    assert (answer.code, len(parts(here / "out"))) == (0, 1), answer


@pytest.mark.parametrize("name", ["batch.json", "plan/part-000000.jsonl", "tally/part-000000.json"])
def test_case_21_a_batch_folder_with_a_pickle_in_it_is_refused(here, sentinel, name):
    assert batch("in", "-o", "out", "-q").code == 0
    if name.startswith("plan"):
        (here / "out/parts/part-000000.jsonl").unlink()
    (here / "out" / name).write_bytes(hostile.pickled(sentinel))
    assert_one_line(batch("in", "-o", "out", "-q"), 1, "out")


def test_case_21_a_network_that_is_a_pickle_is_refused(tmp_path, sentinel):
    folder = hostile.fresh(BUNDLE, tmp_path / "bundle")
    content = hostile.pickled(sentinel)
    (folder / "model.onnx").write_bytes(content)
    change(folder / "bundle.json", sha256=hashlib.sha256(content).hexdigest())
    assert "cannot open the network" in refused(OnnxRecognizer.load, folder)


# 21: code that a config names --------------------------------------------------------------------


@pytest.mark.parametrize(
    "load", [load_config, load_pretrain_config, load_ablation_config, load_serve_config]
)
def test_case_21_a_yaml_config_runs_nothing(tmp_path, sentinel, load):
    path = tmp_path / "config.yaml"
    for tag in ("object/apply:os.mkdir", "object/new:os.mkdir", "object/apply:builtins.exec"):
        path.write_text(f"name: !!python/{tag} [{sentinel}]\n")
        assert "expected YAML" in refused(load, path)
        with pytest.raises(ConfigError, match="expected YAML"):
            load(REPOSITORY / "configs" / "emodb.yaml", [f"name=!!python/{tag} [{sentinel}]"])


#: What a config.json may say to have code of others run, or fetched.
WISHES: dict[str, dict[str, Any]] = {
    "code for a known kind": {"auto_map": hostile.AUTO_MAP},
    "code for its own kind": {"auto_map": hostile.AUTO_MAP, "model_type": "evil"},
    "a kernel": {"_attn_implementation": "somebody/kernel"},
    "a kernel, named openly": {"attn_implementation": "somebody/kernel"},
    "a quantiser": {"quantization_config": {"quant_method": "evil"}},
}


@pytest.mark.parametrize("wish", WISHES)
def test_case_21_code_beside_a_config_is_not_run(opener, sentinel, wish, monkeypatch):
    folder, opened = opener
    (folder / "evil.py").write_text(hostile.code(sentinel))
    change(folder / "config.json", **WISHES[wish])
    monkeypatch.syspath_prepend(folder)
    assert str(folder) in refused(opened, folder)


@pytest.mark.parametrize("wish", [one for one in WISHES if "kernel" in one or "own" in one])
def test_case_21_code_for_the_backbone_inside_a_model_is_not_run(sources, tmp_path, sentinel, wish):
    folder = hostile.fresh(sources["model"], tmp_path / "theirs")
    (folder / "evil.py").write_text(hostile.code(sentinel))
    inner = json.loads((folder / "config.json").read_text())["backbone"]
    change(folder / "config.json", backbone=inner | WISHES[wish])
    assert str(folder) in refused(as_model, folder)


def test_case_21_code_for_a_preprocessor_is_not_run(sources, tmp_path, sentinel):
    folder = hostile.fresh(sources["backbone"], tmp_path / "theirs")
    (folder / "evil.py").write_text(hostile.code(sentinel))
    wish = {"auto_map": hostile.AUTO_MAP, "feature_extractor_type": "Extractor"}
    change(folder / "preprocessor_config.json", **wish)
    refused(as_backbone, folder)


def test_case_21_code_for_a_teacher_is_not_run(tmp_path, sentinel):
    (tmp_path / "evil.py").write_text(hostile.code(sentinel))
    told = {"model_type": "whisper", "auto_map": hostile.AUTO_MAP}
    (tmp_path / "config.json").write_text(json.dumps(told))
    refused(load_teacher, str(tmp_path))


MALFORMED: dict[str, dict[str, Any]] = {
    "a word for a number": {"hidden_size": "os.system", "width": "os.system"},
    "no heads": {"num_attention_heads": 0, "attention_heads": 0},
    "no such function": {"hidden_act": "os.system", "head": "os.system"},
    "no backbone": {"model_type": None, "backbone": None},
    "a list for a section": {"auxiliary": [1], "conv_dim": {}},
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_case_21_a_config_that_makes_no_sense_is_one_line(opener, sentinel, fault):
    folder, opened = opener
    change(folder / "config.json", **MALFORMED[fault])
    assert str(folder) in refused(opened, folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", [NESTED, "[]", "3", '"a"', "{", ""], ids=lambda one: one[:5])
def test_case_21_a_config_of_another_shape_is_one_line(sources, tmp_path, name, text):
    folder = hostile.fresh(sources["backbone"], tmp_path / "theirs")
    (folder / name).write_text(text)
    assert str(folder) in refused(as_backbone, folder)


@pytest.mark.parametrize("name", ["config.json", "labels.json", "checkpoint.json"])
@pytest.mark.parametrize("text", [NESTED, "[]", '{"sha256": {"%s": "a"}}' % ("a" * 5000)])
def test_case_21_a_model_folder_of_another_shape_is_one_line(sources, tmp_path, name, text):
    folder = hostile.fresh(sources["model"], tmp_path / "theirs")
    (folder / name).write_text(text)
    if name != "checkpoint.json":
        seal_again(folder)
    refused(load_trained, folder)


# 21: the source itself ---------------------------------------------------------------------------

#: What runs what it is given: as it is called, or imported.
_RUNS = re.compile(
    r"^(eval|exec|compile|yaml\.(unsafe_|full_)?load(_all)?|os\.(system|popen)|pickle\.\w+"
    r"|pandas\.read_pickle|torch\.hub\.load)$"
)
#: File -> how many, and why that is right.
ALLOWED = {
    "phonemo.config.loading": (1, "yaml.load with a SafeLoader that knows no aliases"),
    "tests.test_errors": (2, "errors go from process to process as Python sends them"),
    "tests.runtime.test_pickling": (6, "recognizers go from process to process too"),
    "tests.runtime.test_device": (5, "and their devices"),
    "tests.runtime.test_phoneme_decoder": (4, "so do their decoders"),
    "tests.abuse.hostile": (1, "makes the pickles that must not be opened"),
}


def _dangers(source: Source) -> list[str]:
    found = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        keywords = {one.arg: getattr(one.value, "value", None) for one in node.keywords}
        name = dotted(node.func)
        loads = name == "torch.load" and keywords.get("weights_only") is not True
        shell = name.startswith("subprocess.") and keywords.get("shell", False) is not False
        trust = keywords.get("trust_remote_code", False) is not False
        if _RUNS.match(name) or loads or shell or trust:
            found.append(f"{source.name}:{node.lineno}: {name}")
    return found


def test_case_21_neither_source_nor_tests_run_what_they_read():
    """Beside the laws of the architecture, which keep pickles out of the source alone."""
    folders = ("src/phonemo", "tests", "benchmarks", "examples")
    everything = [one for name in folders for one in read_package(REPOSITORY / name)]
    for source in everything:
        allowed, _ = ALLOWED.get(source.name, (0, ""))
        assert len(_dangers(source)) == allowed, _dangers(source)
        if not allowed:
            strangers = [one.top for one in source.imports if one.top in NEVER - {"hydra"}]
            assert strangers == [], source.name
    assert set(ALLOWED) <= {source.name for source in everything}
    assert issubclass(loading._StrictLoader, yaml.SafeLoader)
    figure(21, "files searched for what runs what it reads", len(everything), "files")


@pytest.mark.parametrize(
    "text",
    [
        *("eval('1')", "exec(text)", "yaml.load(text)", "yaml.load(text, Loader=yaml.Loader)"),
        *("torch.load(path)", "torch.load(path, weights_only=False)", "pickle.loads(data)"),
        *("subprocess.run('ls', shell=True)", "A.from_pretrained(path, trust_remote_code=True)"),
        *("os.system('ls')", "yaml.unsafe_load(text)"),
    ],
)
def test_case_21_the_search_finds_a_planted_danger(text):
    assert _dangers(Source("planted", text, frozenset()))


# 22: networks, headers and bundles ---------------------------------------------------------------


@pytest.mark.parametrize("place", ["same", "above", "absolute", "link", "detour", "nowhere"])
@pytest.mark.parametrize("part", ["model", "head"])
def test_case_22_weights_outside_the_network_are_refused(tmp_path, monkeypatch, place, part):
    folder = hostile.fresh(BUNDLE, tmp_path / "bundle")
    locations = {
        "same": "secret",
        "above": "../secret",
        "absolute": str(tmp_path / "secret"),
        "link": "link",
        "detour": "below/../../secret",
        "nowhere": "not-there",
    }
    path = folder / f"{part}.onnx"
    content, size = hostile.with_external_data(path.read_bytes(), locations[place])
    path.write_bytes(content)
    for where in (tmp_path, folder):
        (where / "secret").write_bytes(bytes(size))
    (folder / "link").symlink_to("../secret")
    (folder / "below").mkdir()
    key = {"model": "sha256", "head": "head_sha256"}[part]
    change(folder / "bundle.json", **{key: hashlib.sha256(content).hexdigest()})
    monkeypatch.chdir(folder)  # where onnxruntime looks
    assert str(folder) in refused(OnnxRecognizer.load, folder)


@pytest.mark.parametrize("lie", HEADERS)
def test_case_22_a_header_that_lies_is_refused(opener, lie):
    folder, opened = opener
    (folder / "model.safetensors").write_bytes(HEADERS[lie])
    assert str(folder) in refused(opened, folder)


@pytest.mark.parametrize("index", ["../outside.safetensors", "/absolute", "list", "nested", "gone"])
def test_case_22_an_index_leads_nowhere_else(opener, index):
    folder, opened = opener
    weights = folder / "model.safetensors"
    weights.rename(folder.parent / "outside.safetensors")
    shard = str(folder.parent / "outside.safetensors") if index == "/absolute" else index
    texts = {"list": "[]", "nested": NESTED}
    text = json.dumps({"metadata": {}, "weight_map": {"masked_spec_embed": shard}})
    (folder / "model.safetensors.index.json").write_text(texts.get(index, text))
    assert str(folder) in refused(opened, folder)


def test_case_22_a_bundle_s_other_files_are_not_opened(tmp_path, monkeypatch):
    """Whatever lies beside the three that count."""
    folder = hostile.fresh(BUNDLE, tmp_path / "bundle")
    for name in ("model.onnx.data", "sitecustomize.py", "custom_ops.so", "config.json"):
        (folder / name).write_bytes(b"\x00nonsense")
    monkeypatch.chdir(folder)
    assert OnnxRecognizer.load(folder).labels


@pytest.mark.parametrize("name", ["model.onnx", "head.onnx"])
def test_case_22_a_link_is_what_it_leads_to(tmp_path, name):
    """Caches of model hubs are links: what counts is the hash of the content."""
    folder = hostile.fresh(BUNDLE, tmp_path / "bundle")
    (folder / name).rename(tmp_path / "blob")
    (folder / name).symlink_to("../blob")
    assert OnnxRecognizer.load(folder).labels
    (tmp_path / "blob").write_bytes(b"another")
    assert "SHA-256" in refused(OnnxRecognizer.load, folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/etc/passwd")
    assert "SHA-256" in refused(OnnxRecognizer.load, folder)


@pytest.mark.parametrize("key", ["sha256", "head_sha256"])
def test_case_22_a_hash_that_is_off_is_refused(tmp_path, key):
    folder = hostile.fresh(BUNDLE, tmp_path / "bundle")
    change(folder / "bundle.json", **{key: "0" * 64})
    assert "SHA-256" in refused(OnnxRecognizer.load, folder)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_case_22_a_bundle_of_endless_files_is_refused_with_little_memory(tmp_path):
    """Sparse files, devices and pipes too; a process that took them whole would be ended."""
    folders = []
    for spoil in hostile.SPOILT:
        for name in ("bundle.json", "model.onnx", "head.onnx"):
            folder = hostile.fresh(BUNDLE, tmp_path / f"{spoil.__name__}-{name}")
            spoil(folder / name)
            folders.append(str(folder))
    result = subprocess.run(
        [sys.executable, "-c", hostile.OPENS, *folders], capture_output=True, text=True, timeout=200
    )
    assert result.returncode == 0, result.stderr
    said, megabytes = json.loads(result.stdout)
    for folder, line in said.items():
        assert folder in line, f"{folder}: {line}"
        assert "\n" not in line
    figure(22, "memory of a process that refuses endless bundles", megabytes, "MB")


def test_case_22_a_folder_may_be_a_loop(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for opened in (OnnxRecognizer.load, load_trained):
        with pytest.raises(CheckpointError):
            opened(tmp_path / "loop")
