"""What leads somewhere else: playlists, addresses, file names; {at}, {url} and {path} are traps."""

from __future__ import annotations

from tests.server.asking import clip, encoded

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n{key}#EXTINF:9,\n{url}\n#EXTINF:9,\n{path}\n#EXTINF:9,\nfile://{path}\n"
#: What other programs follow, with {url} and {path} to follow.
PLAYLISTS = {
    "m3u8": HLS,
    "m3u8 with a key": HLS.replace("{key}", '#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n'),
    "m3u8 with a mark": "\ufeff" + HLS,
    "m3u8 after blanks": "\r\n \t" * 2000 + HLS,
    "m3u": "{url}\n{path}\n",
    "ffconcat": "ffconcat version 1.0\nfile '{path}'\nfile {url}\n",
    "concat": "concat:{path}|{url}\n",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\na=control:{url}\n",
    "pls": "[playlist]\nFile1={url}\nFile2={path}\nNumberOfEntries=2\n",
    "cue": 'FILE "{path}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "xspf": '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file://{path}">]><playlist>&b;</playlist>',
    "mpd": "<MPD><Period><AdaptationSet><BaseURL>{url}</BaseURL></AdaptationSet></Period></MPD>",
    "sfz": "<region> sample={path}\n",
    "json": '{{"url": "{url}", "file": "{path}"}}',
    "link": "[InternetShortcut]\nURL={url}\n",
    "one line": "{url}",
    "one path": "{path}",
}
#: The same behind the first bytes of audio: heard or refused, and followed no more than those.
DISGUISES = {
    "RIFF": b"RIFF\xff\xff\xff\x7fWAVE",
    "RIFF with a format": encoded(clip(100))[:36],
    "a WAV": encoded(clip(8000)),
    "ID3": b"ID3\x04\0\0\0\0\0\0",
    "MPEG": b"\xff\xfb\x90\x00",
    "Ogg": b"OggS\0\2" + bytes(20),
    "FLAC": b"fLaC\0\0\0\x22",
    "FORM": b"FORM\0\0\xff\xffAIFC",
    "UTF-16": "\ufeff".encode("utf-16-le"),
    "MP4": b"\0\0\0\x14ftypM4A \0\0\0\0M4A ",
    "Matroska": b"\x1aE\xdf\xa3",
}

#: What some library somewhere opens; {at} is host and port of the trap.
ADDRESSES = (
    *("http://{at}/secret.wav", "HTTP://{at}/secret.wav", "https://{at}/secret.wav"),
    *("http://a@{at}/", "http://a\\@{at}/", "http://{at}\\@a/", "http://a#@{at}/"),
    *("http://localhost:{port}/", "http://127.1:{port}/", "http://0x7f000001:{port}/"),
    *("http://2130706433:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/"),
    *("http://0:{port}/", "http://0.0.0.0:{port}/", "http://127.0.0.1.nip.io:{port}/"),
    *("http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http:{at}/"),
    *("http:/{at}/", "http:\\\\{at}\\", "//{at}/secret.wav", "\\\\{at}\\secret.wav"),
    *("ftp://{at}/a.wav", "rtsp://{at}/a", "tcp://{at}", "gopher://{at}/_", "s3://a/b.wav"),
    *("file://{path}", "file:{path}", "FILE://localhost{path}", "concat:{path}|{path}"),
    *("subfile,,start,0,end,0,,:{path}", "cache:http://{at}/", "crypto:{path}", "async:{path}"),
    *("pipe:0", "fd:0", "|cat {path}", "$(curl http://{at}/)", "`cat {path}`; curl {at}"),
    *("data:audio/wav;base64,UklGRg==", "zip://a.wav::http://{at}/a.zip", "hf://datasets/a/b"),
    *(" http://{at}/", "\thttp://{at}/", "http://{at}/\n", "git+ssh://{at}/a", "~/secret.wav"),
)

#: Title -> a file name as it stands in the form, between quotes.
NAMES = {
    "up": "../../x",
    "up with backslashes": "..\\..\\x.wav",
    "absolute": "/etc/passwd",
    "secret": "{path}",
    "up to the secret": "../../../../../../../../../..{path}",
    "drive": "C:\\Windows\\win.ini",
    "device": "/dev/stdin",
    "proc": "/proc/self/environ",
    "dot": ".",
    "dots": "..",
    "dash": "-rf",
    "option": "--model=x",
    "NUL": "a\0b.wav",
    "NUL and up": "x.wav\0/../../y",
    "bell": "\x07\x1b[31mred\x1b[2J.wav",
    "delete": "a\x7f\x80\x9b31m.wav",
    "right to left": "\u202egpj.\u2066exe\u2069.wav",
    "invisible": "a\u200b\u200d\ufeff\u00ad\u2060.wav",
    "line separators": "a\u2028b\u2029c\x85d.wav",
    "tab": "a\tb\x0bc\x0cd.wav",
    "half a pair": "\ud83d.wav",
    "private": "\ue000\U000f0000.wav",
    "quotes": 'a\\"b\\".wav',
    "html": "<img src=x onerror=alert(1)>",
    "percent": "%2e%2e%2f%00%0d%0aSet-Cookie: a=b",
    "formula": "=HYPERLINK(1)",
    "comma": "a,b;c\td",
    "template": "{{7*7}}${{7*7}}%s%n$(id)`id`",
    "spaces": "   ",
    "long": "x" * 3000,
    "long marks": "\u202e" * 1000,
    "long accents": "e" + "\u0301" * 1000,
}

#: What a part may have instead of filename="..."; whether it is a file at all is the parser's.
ATTRIBUTES = (
    b"filename*=UTF-8''..%2F..%2Fx",
    b"filename*=UTF-8''a%00b%0d%0aX: y%e2%80%aegpj",
    b"filename*=iso-8859-1'en'%A3",
    b"filename*=unknown-charset''%ff%fe",
    b"filename*=''",
    b"filename=\"a.wav\"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd",
    b"filename*=UTF-8''../../x; filename=\"a.wav\"",
    b'filename*0="../../"; filename*1="x"',
    b'filename="a.wav"; filename="../../x"',
    b"filename=../../x",
    b'filename="../../x',
    b'filename="a\\',
    b"filename=",
    b"filename",
    b'FILENAME="../../x"',
    b'filename="\xff\xfe\xfd.wav"',
    b'filename="caf\xe9.wav"',
    b'filename="=?utf-8?b?Li4vLi4veA==?="',
    b'filename="a\rb.wav"',
    b'filename="a\nb.wav"',
    b'filename="a\r\n b.wav"',
    b'filename="a\r\nX-Evil: b.wav"',
    b'filename="a.wav"; name="model"',
    b'filename="' + b"../" * 3000 + b'x"',
    b'filename="' + b"x" * 10_000 + b'"',
    b'filename="' + b"x" * 100_000 + b'"',
    b"filename*=UTF-8''" + b"%2e%2e%2f" * 1200,
    b";" * 5000 + b'filename="a.wav"',
    b'filename="a.wav"' + b'; x="y"' * 1000,
)
