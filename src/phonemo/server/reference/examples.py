"""Examples of requests that run as they stand, with curl, Python and JavaScript.

They need a recording named my.wav in the current folder and, unless they say so, nothing that has
to be installed: Python's standard library, and Node 18 or newer. With API keys, the key is in the
environment variable PHONEMO_KEY.
"""

from __future__ import annotations

from dataclasses import dataclass

from phonemo.server.reference.operations import Operation

CURL, PYTHON, SCRIPT = "curl", "Python", "JavaScript"


@dataclass(frozen=True)
class Example:
    """A program."""

    language: str
    text: str


def examples_of(operation: Operation, base: str) -> tuple[Example, ...]:
    """Return the examples of an operation.

    Args:
        operation: the operation.
        base: address of the server, with a slash at its end.
    """
    texts = _TEXTS.get((operation.method, operation.path), _GET)
    return _written(texts, base + operation.path.removeprefix("/"), operation.needs_key)


def stream_examples(base: str, needs_key: bool) -> tuple[Example, ...]:
    """Return examples of a live stream; arguments are those of ``examples_of``."""
    return _written(_STREAM, f"ws{base.removeprefix('http')}v1/audio/stream", needs_key)


def _written(texts: dict[str, str], url: str, needs_key: bool) -> tuple[Example, ...]:
    values = {name: text if needs_key else "" for name, text in _KEY.items()} | {"URL": url}
    examples = []
    for language, text in texts.items():
        for name, value in values.items():
            text = text.replace(f"<{name}>", value)
        examples.append(Example(language, text))
    return tuple(examples)


#: Name of a place in a text -> what stands there if the server has API keys.
_KEY = {
    "CURL_KEY": ' -H "Authorization: Bearer $PHONEMO_KEY"',
    "IMPORT_OS": "import os\n",
    "PYTHON_KEY": 'request.add_header("Authorization", "Bearer " + os.environ["PHONEMO_KEY"])\n',
    "PYTHON_KEY_ARGUMENT": ",\n    additional_headers={"
    '"Authorization": f"Bearer {os.environ[\'PHONEMO_KEY\']}"}',
    "SCRIPT_KEY": "\n  headers: { Authorization: `Bearer ${process.env.PHONEMO_KEY}` },",
    "SCRIPT_PROTOCOLS": ', ["phonemo", "phonemo.key.KEY"]',
}
_GET = {
    CURL: "curl<CURL_KEY> <URL>",
    PYTHON: """\
import json
<IMPORT_OS>import urllib.request

request = urllib.request.Request("<URL>")
<PYTHON_KEY>with urllib.request.urlopen(request) as response:
    print(json.load(response))""",
    SCRIPT: """\
const response = await fetch("<URL>", {<SCRIPT_KEY>
  method: "GET",
});
console.log(await response.json());""",
}
_EMOTIONS = {
    CURL: """\
# as a form
curl<CURL_KEY> -F file=@my.wav -F phonemes=true <URL>
# as the body, with the options in the address
curl<CURL_KEY> --data-binary @my.wav -H 'Content-Type: audio/wav' \\
  '<URL>?phonemes=true'
# as an upload
curl<CURL_KEY> -T my.wav <URL>""",
    PYTHON: """\
import json
<IMPORT_OS>import urllib.request

with open("my.wav", "rb") as file:
    recording = file.read()
request = urllib.request.Request("<URL>?phonemes=true", recording)
request.add_header("Content-Type", "audio/wav")
<PYTHON_KEY>with urllib.request.urlopen(request) as response:
    answer = json.load(response)
print(answer["label"], answer["unsure"], answer["scores"])""",
    SCRIPT: """\
import { readFile } from "node:fs/promises";

const form = new FormData();
form.append("file", new Blob([await readFile("my.wav")]), "my.wav");
form.append("phonemes", "true");
const response = await fetch("<URL>", {<SCRIPT_KEY>
  method: "POST",
  body: form,
});
console.log(await response.json());""",
}
_PROFILES = {
    CURL: """\
curl<CURL_KEY> -F file=@my.wav -F response_format=profile -o office.json <URL>""",
    PYTHON: """\
import json
<IMPORT_OS>import urllib.request

with open("my.wav", "rb") as file:
    recording = file.read()
head = b'--part\\r\\nContent-Disposition: form-data; name="file"; filename="my.wav"\\r\\n\\r\\n'
request = urllib.request.Request("<URL>", head + recording + b"\\r\\n--part--\\r\\n")
request.add_header("Content-Type", "multipart/form-data; boundary=part")
<PYTHON_KEY>with urllib.request.urlopen(request) as response:
    print(json.load(response)["hash"])""",
    SCRIPT: _EMOTIONS[SCRIPT].replace('"phonemes", "true"', '"response_format", "profile"'),
}
#: Method and path -> language -> text; all others are ``_GET``.
_TEXTS = {("POST", "/v1/audio/emotions"): _EMOTIONS, ("POST", "/v1/audio/profiles"): _PROFILES}
_STREAM = {
    PYTHON: """\
# needs: pip install websockets; my.wav is 16-bit
import json
<IMPORT_OS>import wave

from websockets.sync.client import connect

with wave.open("my.wav") as file:
    rate, channels = file.getframerate(), file.getnchannels()
    samples = file.readframes(file.getnframes())
address = f"<URL>?rate={rate}&channels={channels}"
with connect(address<PYTHON_KEY_ARGUMENT>) as stream:
    for start in range(0, len(samples), 6400):
        stream.send(samples[start : start + 6400])
    stream.send(json.dumps({"type": "finish"}))
    for message in stream:
        print(message[:100])""",
    SCRIPT: """\
// in a browser: five seconds of the microphone; needs phonemo[media] on the server
const socket = new WebSocket("<URL>?encoding=webm"<SCRIPT_PROTOCOLS>);
socket.addEventListener("message", ({ data }) => console.log(JSON.parse(data)));
socket.addEventListener("open", async () => {
  const recorder = new MediaRecorder(await navigator.mediaDevices.getUserMedia({ audio: true }));
  recorder.addEventListener("dataavailable", ({ data }) => socket.send(data));
  recorder.addEventListener("stop", () => socket.send('{"type": "finish"}'));
  recorder.start(250);
  setTimeout(() => recorder.stop(), 5000);
});""",
}
