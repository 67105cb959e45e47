"""Errors: one base class, an exit code, a docstring each, and pickling."""

from __future__ import annotations

import inspect
import pickle
from typing import get_args

import pytest

from phonemo import errors
from phonemo.errors import (
    AudioCode,
    AudioError,
    ConfigError,
    LabelError,
    MissingExtraError,
    PhonemoError,
    UsageError,
)

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]


def example(kind: type[PhonemoError]) -> PhonemoError:
    """An error of a class, with its name as the message."""
    if issubclass(kind, AudioError):
        return kind("too_short", "a.wav: 12 samples found, 400 wanted")
    if issubclass(kind, MissingExtraError):
        return kind("phonemes from text", "g2p")
    return kind(f"what a {kind.__name__} says")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_of_the_family_and_documented(kind: type[PhonemoError]) -> None:
    assert issubclass(kind, PhonemoError)
    assert kind is PhonemoError or kind.__name__.endswith("Error")
    assert (kind.__doc__ or "").strip().endswith((".", "``exit_code``."))


@pytest.mark.parametrize("kind", CLASSES)
def test_wrong_usage_exits_with_2_and_failure_with_1(kind: type[PhonemoError]) -> None:
    assert kind.exit_code == (2 if issubclass(kind, UsageError) else 1)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_can_be_pickled(kind: type[PhonemoError]) -> None:
    sent = example(kind)
    came = pickle.loads(pickle.dumps(sent))
    assert type(came) is kind
    assert str(came) == str(sent)
    assert vars(came) == vars(sent)


def test_config_and_label_errors_are_usage_errors() -> None:
    assert issubclass(ConfigError, UsageError)
    assert issubclass(LabelError, UsageError)


@pytest.mark.parametrize("code", get_args(AudioCode))
def test_an_audio_error_has_its_code_beside_the_message(code: AudioCode) -> None:
    error = AudioError(code, "a.wav: no such file")
    assert (error.code, str(error)) == (code, "a.wav: no such file")


def test_a_missing_extra_is_an_error_with_the_command() -> None:
    error = MissingExtraError("phonemes from text", "g2p")
    assert str(error) == "phonemes from text needs an optional part: pip install 'phonemo[g2p]'"
