"""The formats that libsndfile and FFmpeg read on this machine."""

from __future__ import annotations

from phonemo.runtime.checks.findings import Finding, Section
from phonemo.runtime.checks.machine import version_of

#: phonemo's names of formats -> libsndfile's.
_NATIVE = {
    **{name: name.upper() for name in ("wav", "flac", "ogg", "aiff", "au", "caf", "w64", "mp3")},
    "sph": "NIST",
}
_MEDIA = "m4a, mp4, aac, webm, mka, 3gp, amr, wma"
_NEEDED = ("wav", "flac")


def formats() -> Section:
    """Formats by the library that decodes them."""
    return Section("formats", {"libsndfile": _native(), "ffmpeg": _media()})


def _native() -> Finding:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Finding("none", f"{error}; run: pip install --force-reinstall soundfile")
    known = soundfile.available_formats()
    names = [name for name, format in _NATIVE.items() if format in known]
    if "OPUS" in soundfile.available_subtypes("OGG"):
        names.append("opus")
    missing = [name for name in _NEEDED if name not in names]
    rest = [name for name in (*_NATIVE, "opus") if name not in names]
    hint = f"without {', '.join(rest)}: update libsndfile (pip install soundfile)" if rest else None
    problem = f"without {', '.join(missing)}; run: pip install --force-reinstall soundfile"
    return Finding(", ".join(names), problem if missing else None, hint)


def _media() -> Finding:
    version = version_of("av")
    if version is None:
        return Finding("no", hint=f"for {_MEDIA}: pip install 'phonemo[media]'")
    from phonemo.audio.formats.ffmpeg import is_installed

    if not is_installed():
        return Finding(
            f"av {version}", "it cannot be imported; run: pip install --force-reinstall av"
        )
    return Finding(f"{_MEDIA} (av {version})")
