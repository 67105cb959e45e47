"""The programs in docs/voice-agents.md run as they stand, on a recorded turn."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from functools import partial

import pytest
import soundfile

from phonemo.integrations.agents import turn_worker
from phonemo.loader import load_model
from tests.integrations.recorded_turns import recorded_turn
from tests.laws import REPOSITORY

pytest.importorskip("pipecat", reason="needs pipecat-ai: make test-agents")
pytest.importorskip("livekit.agents", reason="needs livekit-agents: make test-agents")

pytestmark = pytest.mark.filterwarnings("default")

TEXT = (REPOSITORY / "docs" / "voice-agents.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def program(beginning):
    """The program with a line."""
    (found,) = [code for kind, code in BLOCKS if kind == "python" and beginning in code]
    return found


def run(code, folder):
    """The names of a program after its run, as a script."""
    script = folder / "documented.py"
    script.write_text(code, encoding="utf-8")
    return runpy.run_path(str(script), run_name="__main__")


def test_the_pipeline_prints_the_emotions_of_a_recorded_turn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("turn.wav", recorded_turn(pause_seconds=1.5), 16_000)
    run(program("asyncio.run(main())"), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("turn anger True Speech emotion classifier, user's last turn: ")


def test_the_message_of_the_context_is_kept_up_to_date(tmp_path):
    from phonemo.integrations.agents.turn_emotion import emotion_of_nothing

    names = run(program("LLMContext(messages"), tmp_path)

    async def emit():
        await names["emotions"]._call_event_handler("on_emotion", emotion_of_nothing(1))
        await asyncio.gather(*(task for _, task in names["emotions"]._event_tasks))

    asyncio.run(emit())
    (message,) = names["context"].get_messages()
    assert "no result" in message["content"]


def test_the_agent_adds_the_emotion_before_the_response(monkeypatch, tmp_path):
    from livekit.agents import StopResponse

    from tests.integrations import test_livekit

    recognizer = load_model(threads=1)
    monkeypatch.setattr(turn_worker, "load_model", lambda threads: recognizer)
    documented = run(program("class Assistant(Agent)"), tmp_path)["Assistant"]

    class Observed(documented):
        def __init__(self, emotions):
            super().__init__()
            self.turns = asyncio.Queue()
            self.emotions.end_turn = partial(self.emotions.end_turn, timeout=60)

        async def on_user_turn_completed(self, turn_ctx, new_message):
            await super().on_user_turn_completed(turn_ctx, new_message)
            self.turns.put_nowait(turn_ctx.items[-1].text_content)
            raise StopResponse

    class Nothing:
        async def aclose(self):
            """The agent closes its own."""

    monkeypatch.setattr(test_livekit, "Assistant", Observed)
    (text,) = asyncio.run(test_livekit.converse(Nothing()))
    assert text.startswith("Speech emotion classifier, user's last turn: unsure (closest: anger")


def test_the_configuration_of_mcp_clients_is_valid():
    from typer.main import get_command

    from phonemo.cli.main import app

    (text,) = [code for kind, code in BLOCKS if kind == "json"]
    server = json.loads(text)["mcpServers"]["phonemo"]
    command, *arguments = server["args"]
    assert server["command"] == "phonemo"
    parsed = get_command(app).commands[command].make_context(command, arguments).params
    assert [str(root) for root in parsed["root"]] == ["/home/me/recordings"]
