"""The clients' requests: kinds, each with its weight and the correct outcomes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from soaking import asking
from soaking.asking import Answers, ask, form, post
from soaking.clips import MINUTES, WHOLE, Clip, flipped, fresh, good_clips, pcm, too_long
from soaking.processes import tree

FORMATS = ("json", "json", "verbose_json", "csv", "srt", "vtt", "rttm", "textgrid")
PAGES = ("/", "/openapi.json", "/v1/models", "/web/main.js", "/web/base.css", "/no/such/page")
LONG_AT_ONCE = 4
PROFILE_FILES = 3
SPOILT = ("200", "413", "415", "422")
#: Invalid form fields, with the expected status.
WRONG_FIELDS = (
    ("400", {"response_format": "xml"}),
    ("400", {"colour": "red"}),
    ("400", {"labels": "anger,boredom,rage"}),
    ("400", {"top_k": 0}),
    ("404", {"model": "another"}),
)


@dataclass
class Target:
    """The server, and the data sent to it."""

    port: int
    pid: int
    clips: list[Clip] = field(default_factory=good_clips)
    too_long: bytes = field(default_factory=too_long)
    pcm: bytes = field(default_factory=pcm)
    answers: Answers = field(default_factory=Answers)
    profile: str = ""
    """JSON of the newest profile that the server made."""

    def clip(self, draw: random.Random) -> Clip:
        """Draw one of the good clips."""
        return draw.choices(self.clips, [clip.weight for clip in self.clips])[0]


def good(to: Target, draw: random.Random) -> str:
    """A recording, in all formats."""
    clip, kind = to.clip(draw), draw.choice(FORMATS)
    options = draw.choice(({}, {}, {"timeline": True}, {"phonemes": True}, {"top_k": 2}))
    status, body = post(to.port, clip.data, clip.name, response_format=kind, **options)
    if status == 200 and "json" in kind:
        to.answers.scores(clip.name, json.loads(body)["scores"])
    elif status == 200:
        to.answers.text(f"{clip.name} {kind} {options}", body.decode())
    return str(status)


def other_length(to: Target, draw: random.Random) -> str:
    """A recording of a random length."""
    return str(post(to.port, fresh(to.pcm, draw), phonemes=draw.choice(("true", "false")))[0])


def longest(to: Target, draw: random.Random) -> str:
    """The clip that takes the most memory; sent first by each client, during warm-up."""
    data = next(clip.data for clip in to.clips if clip.name == WHOLE)
    return str(post(to.port, data, WHOLE, phonemes=True)[0])


def several_long(to: Target, draw: random.Random) -> str:
    """Recordings of eight minutes at once; some may be too many for the server."""
    data = next(clip.data for clip in to.clips if clip.name == MINUTES)
    with ThreadPoolExecutor(LONG_AT_ONCE) as pool:
        sent = [pool.submit(post, to.port, data, MINUTES) for _ in range(LONG_AT_ONCE)]
        statuses = {one.result()[0] for one in sent}
    return "200 or busy" if statuses <= {200, 429, 503} else str(sorted(statuses))


def spoilt(to: Target, draw: random.Random) -> str:
    """Damaged audio."""
    clip = to.clip(draw)
    return str(post(to.port, flipped(clip.data, draw), clip.name)[0])


def no_audio(to: Target, draw: random.Random) -> str:
    """Playlists, archives, texts, empty files, noise: 415 or 422."""
    kinds = (b"", b"#EXTM3U\nhttp://127.0.0.1/a.wav\n", b"PK\3\4" + bytes(500), b"RIFF")
    return str(post(to.port, draw.choice((*kinds, b"words\n" * 99, draw.randbytes(3000))))[0])


def too_much(to: Target, draw: random.Random) -> str:
    """Too many seconds, or too many announced bytes."""
    if draw.random() < 0.5:
        return str(post(to.port, to.too_long, "long.flac")[0])
    with asking.connected(to.port) as client:
        client.sendall(asking.head(2**25) + bytes(2**16))
        return asking.status_in(client)


def address(to: Target, draw: random.Random) -> str:
    """A URL instead of a file."""
    return str(post(to.port, None, file="http://127.0.0.1/a.wav")[0])


def wrong_form(to: Target, draw: random.Random) -> str:
    """An invalid field, body or type; returns the expected status if it differs."""
    clip = to.clip(draw)
    expected, fields = draw.choice(WRONG_FIELDS)
    body, kind = form(clip.data, clip.name, **fields), asking.KIND
    if (way := draw.randrange(8)) == 0:
        expected, body = "400", draw.randbytes(2000)
    elif way == 1:
        expected, body = "400", form(clip.data)[: -draw.randint(5, 60)].replace(b"\r\n", b"\n")
    elif way == 2:
        expected, kind = "415", {"Content-Type": "application/json"}
    elif way == 3:
        expected, kind = "400", {"Content-Type": "multipart/form-data"}
    elif way == 4:
        expected, body = "400", form(None, top_k=3)
    status = str(ask(to.port, asking.PATH, "POST", body, kind)[0])
    return "refused" if status == expected else f"{status} for {expected}, way {way} {fields}"


def no_http(to: Target, draw: random.Random) -> str:
    """Bytes that are not a request, or half of one."""
    with asking.connected(to.port) as client:
        if draw.random() < 0.5:
            client.sendall(b"GET / HT")
            return "left"
        client.sendall(draw.randbytes(300) + b"\r\n\r\n")
        return asking.status_in(client)


def left_uploading(to: Target, draw: random.Random) -> str:
    """A client that disconnects during its upload."""
    body = form(to.clip(draw).data)
    client = asking.connected(to.port)
    client.sendall(asking.head(len(body)) + body[: draw.randrange(len(body))])
    time.sleep(draw.choice((0.0, 0.2)))
    (asking.reset if draw.random() < 0.5 else type(client).close)(client)
    return "left"


def left_waiting(to: Target, draw: random.Random) -> str:
    """A client that does not wait for the response."""
    body = form(to.clip(draw).data, phonemes=True)
    client = asking.connected(to.port)
    client.sendall(asking.head(len(body)) + body)
    time.sleep(draw.choice((0.0, 0.02, 0.1)))
    (asking.reset if draw.random() < 0.5 else type(client).close)(client)
    return "left"


def slow(to: Target, draw: random.Random) -> str:
    """A recording in pieces."""
    body = form(to.clip(draw).data)
    step = -(-len(body) // 12)
    with asking.connected(to.port) as client:
        client.sendall(asking.head(len(body)))
        for start in range(0, len(body), step):
            client.sendall(body[start : start + step])
            time.sleep(0.1)
        return asking.status_in(client)


def stuck(to: Target, draw: random.Random) -> str:
    """An upload that stalls."""
    with asking.connected(to.port) as client:
        client.sendall(asking.head(10**6) + form(bytes(100))[:150])
        return asking.status_in(client)


def stranger(to: Target, draw: random.Random) -> str:
    """A page of another origin, or another host name."""
    clip = to.clip(draw)
    if draw.random() < 0.5:
        return str(post(to.port, clip.data, headers={"Origin": "https://example.org"})[0])
    return str(post(to.port, clip.data, headers={"Host": "example.org"})[0])


def page(to: Target, draw: random.Random) -> str:
    """Requests of a browser and a monitor."""
    path = draw.choice((*PAGES, "/health/live", "/health/ready", "/metrics"))
    status, _ = ask(to.port, path, draw.choice(("GET", "GET", "GET", "HEAD")))
    return "as ever" if status == (404 if "no/such" in path else 200) else f"{status} for {path}"


def live(to: Target, draw: random.Random) -> str:
    """A stream that runs to its end."""
    step = draw.choice((3200, 9601, 60_000))
    with asking.stream(to.port, "?phonemes=true" if draw.random() < 0.5 else "") as client:
        for start in range(0, len(to.pcm), step):
            client.send(to.pcm[start : start + step])
        client.send(asking.FINISH)
        how, event = asking.last_event(client)
    if event["type"] == "final":
        to.answers.scores("stream", event["prediction"]["scores"])
    return how


def live_wrong(to: Target, draw: random.Random) -> str:
    """A stream with an invalid address, a foreign origin, a text or an oversized message."""
    query = draw.choice(("", "", "", "?rate=3", "?model=another", "?colour=red"))
    options = {"origin": "https://example.org"} if draw.random() < 0.2 else {}
    message = draw.choice(("hello", "[]", "{" * 5000, bytes(300_000)))
    with asking.stream(to.port, query, **options) as client:
        with contextlib.suppress(asking.ConnectionClosed):  # the server may have closed the stream
            client.send(message)
        return asking.last_event(client)[0]


def live_left(to: Target, draw: random.Random) -> str:
    """A stream that is abandoned midway."""
    client = asking.stream(to.port)
    client.send(to.pcm[: draw.randrange(1, len(to.pcm))])
    time.sleep(draw.choice((0.0, 0.1)))
    if draw.random() < 0.5:
        asking.reset(client.socket)
    client.close()
    return "left"


def profile_made(to: Target, draw: random.Random) -> str:
    """A profile of the same recordings; the response must have the same hash each time."""
    files = [(clip.name, clip.data) for clip in to.clips if clip.name not in (WHOLE, MINUTES)]
    body = asking.files_form(files[:PROFILE_FILES])
    status, text = ask(to.port, asking.PROFILES, "POST", body, asking.KIND)
    if status != 200:
        return str(status)
    found = json.loads(text)
    to.answers.text("profile", found["hash"])
    to.profile = json.dumps(found["profile"])
    return "200"


def with_profile(to: Target, draw: random.Random) -> str:
    """A recording with a profile, or with one that is damaged."""
    if not to.profile:
        return profile_made(to, draw)
    clip, wrong = to.clip(draw), draw.random() < 0.2
    sent = to.profile[: draw.randrange(len(to.profile))] if wrong else to.profile
    status, body = post(to.port, clip.data, clip.name, profile_json=sent)
    if wrong:
        return "refused" if status in (400, 422) else f"{status} for a damaged profile"
    if status == 200:
        to.answers.scores(f"{clip.name} with profile", json.loads(body)["scores"])
    return str(status)


def live_profile(to: Target, draw: random.Random) -> str:
    """A stream with a profile, which adapts or not."""
    adapts = draw.random() < 0.5
    with asking.stream(to.port, "?adapt=true" if adapts else "") as client:
        if to.profile:
            first = {"type": "profile", "profile_json": json.loads(to.profile)}
            client.send(json.dumps(first))
        for start in range(0, len(to.pcm), 9600):
            client.send(to.pcm[start : start + 9600])
        client.send(asking.FINISH)
        return asking.last_event(client)[0]


def decoder_killed(to: Target, draw: random.Random) -> str:
    """Kill one of the server's decoders."""
    decoders = [pid for pid in tree(to.pid)[1:] if _is_decoder(pid)]
    if decoders:
        with contextlib.suppress(ProcessLookupError):  # it was lost meanwhile
            os.kill(draw.choice(decoders), signal.SIGKILL)
    return "killed"


def _is_decoder(pid: int) -> bool:
    with contextlib.suppress(OSError):  # it has ended
        return (
            b"phonemo.server.decoders.decoder_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
    return False


#: The function, its weight, and the allowed outcomes.
Kind = tuple[Callable[[Target, random.Random], str], float, tuple[str, ...]]
KINDS: tuple[Kind, ...] = (
    (longest, 0.5, ("200",)),
    (good, 35, ("200",)),
    (other_length, 15, ("200",)),
    (several_long, 0.3, ("200 or busy",)),
    (spoilt, 8, SPOILT),
    (no_audio, 5, ("415", "422")),
    (too_much, 2, ("413",)),
    (address, 2, ("400",)),
    (wrong_form, 6, ("refused",)),
    (no_http, 2, ("left", "400")),
    (left_uploading, 5, ("left",)),
    (left_waiting, 5, ("left",)),
    (slow, 2, ("200",)),
    (stuck, 0.3, ("408",)),
    (stranger, 3, ("403", "421")),
    (page, 8, ("as ever",)),
    (live, 3, ("final 1000",)),
    (live_wrong, 2, ("error 1008", "error 1009")),
    (live_left, 2, ("left",)),
    (profile_made, 1, ("200",)),
    (with_profile, 6, ("200", "refused")),
    (live_profile, 2, ("final 1000",)),
    (decoder_killed, 0.3, ("killed",)),
)
