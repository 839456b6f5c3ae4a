"""Fuzzed packets and files: each is taken, or refused as the reader says, within a second.

Texts are made of real ones: odd values, keys and lines of others, nesting, aliases, broken bytes.
"""

import itertools
import random
import shutil
import tempfile
from pathlib import Path

from benchmarks.fuzzed import TAKEN, Fuzzed, fuzz
from gateway.config import load_settings
from gateway.errors import ConfigError, GatewayError, PluginError
from gateway.inference.manifest import MANIFEST, load_manifest
from gateway.ingest.cameras.settings import load_camera
from gateway.model import RawMessage
from gateway.outcomes.packet import PacketError, decode, named
from gateway.profiles import Catalog

_ROOT = Path(__file__).parents[1]
_REFUSED = "refused"
_NOW_NS = 1_800_000_000 * 10**9
_VALUES = (
    "", "0", "-1", "1e999", "nan", "inf", "-inf", "9" * 400, "0x7fffffffffffffff", "true", "null",
    "[]", "{}", '""', '"\\u0000"', '"' + "x" * 5000 + '"', "'''", '"""', "[[[[[[[[1]]]]]]]]",
    "2024-02-30", "1979-05-27T07:32:00Z", '"../../etc/passwd"', '"/dev/zero"', '"${t.d.x[9]}"',
    '"=p[*].a | [?b > `1`]"', '"=pairs(p"', '"%Y-%m-%d %H:%M:%S.%f%z"', '"(a+)+$"', '"{x+}/{x+}"',
    '"#"', '"+/#"', "*a", "&a [*a, *a]", "!!python/object:os.system x", "<<: *a", '"\\ud800"',
    '"nats://\x00"', '"tls://u:p@[::1"', '"<IIQQ"', '"8192x8192"', "0.1.2", "é", "\u202e",
)  # fmt: skip
_LINES = (
    "[a", "[[a]]", "a = ", "= 1", "- - - - - -", "\t: ", "? ?", "%YAML 9.9", "--- ---", "\x00",
    "a: &a [" + "*a," * 50 + "]", "{" * 300, "[" * 300, "a.b.c.d.e.f = 1", "{a: {b: {c: }}}",
)  # fmt: skip


class TextFuzzer:
    """Makes texts out of real ones.

    Args:
        seeds: The real ones.
        seed: The same seed makes the same texts.
    """

    def __init__(self, seeds: list[str], seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._seeds = [text.splitlines() for text in seeds]

    def text(self) -> bytes:
        """Return the next text; it need not be UTF-8."""
        choose = self._random
        lines = list(choose.choice(self._seeds))
        for _ in range(choose.randint(1, 3)):
            self._change(lines)
        content = bytearray("\n".join(lines).encode("utf-8", "surrogatepass"))
        if choose.random() < 0.2:
            at = choose.randrange(len(content) + 1)
            content[at : at + choose.randint(0, 3)] = choose.randbytes(choose.randint(0, 4))
        return bytes(content)

    def _change(self, lines: list[str]) -> None:
        choose = self._random
        at = choose.randrange(len(lines)) if lines else 0
        match choose.randrange(8):
            case 0:
                del lines[at : at + choose.randint(1, 4)]
            case 1:
                lines[at:at] = lines[at : at + choose.randint(1, 4)]
            case 2:
                lines.insert(at, choose.choice(_LINES))
            case 3:
                other = choose.choice(self._seeds)
                lines.insert(at, choose.choice(other) if other else "")
            case 4:
                lines[at : at + 1] = [line[:-1] for line in lines[at : at + 1]]
            case _:
                lines[at : at + 1] = [self._valued(line) for line in lines[at : at + 1]]

    def _valued(self, line: str) -> str:
        for sign in (" = ", ": ", "- "):
            head, found, _ = line.partition(sign)
            if found:
                return head + sign + self._random.choice(_VALUES)
        return line + self._random.choice(_VALUES)


def packets(count: int, seed: int) -> Fuzzed:
    """Fuzz the packet decoder."""
    real = (_ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8").split("```json\n")[1]
    # A line for each field, so that the fuzzer changes values and not only characters.
    lines = real.split("\n")[0].replace(",", ",\n").replace('":', '": ')
    return fuzz(_takes_packet, TextFuzzer([lines], seed).text, count)


def _takes_packet(content: bytes) -> str:
    named(content)
    try:
        decode(content)
    except PacketError:
        return _REFUSED
    return TAKEN


def plugins(count: int, seed: int) -> Fuzzed:
    """Fuzz ``plugin.toml``, in folders with real models."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [
            Path(shutil.copytree(file.parent, Path(scratch) / file.parent.name))
            for file in sorted(_ROOT.glob("plugins/*/plugin.toml"))
        ]
        texts = [(folder / MANIFEST).read_text(encoding="utf-8") for folder in folders]
        fuzzers = [TextFuzzer([text], seed) for text in texts]
        turns = itertools.cycle(range(len(folders)))

        def make() -> tuple[Path, bytes]:
            turn = next(turns)
            return folders[turn], fuzzers[turn].text()

        return fuzz(_takes_plugin, make, count)


def _takes_plugin(given: tuple[Path, bytes]) -> str:
    folder, content = given
    (folder / MANIFEST).write_bytes(content)
    try:
        load_manifest(folder)
    except PluginError:
        return _REFUSED
    return TAKEN


def profiles(count: int, seed: int) -> Fuzzed:
    """Fuzz ``profile.yaml``; one that is taken decodes some messages."""
    files = sorted(_ROOT.glob("firmware_profiles/*/profile.yaml"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fuzzed"
        folder.mkdir()

        def take(content: bytes) -> str:
            (folder / "profile.yaml").write_bytes(content)
            catalog = Catalog.load([folder], "UTC")
            for info in catalog.profiles:
                for pattern in [pattern for rule in info.rules for pattern in rule][:4]:
                    _decode(catalog, pattern)
            return _REFUSED if catalog.rejected else TAKEN

        return fuzz(take, _fuzzer(files, seed).text, count)


def _decode(catalog: Catalog, pattern: str) -> None:
    topic = pattern.replace("{", "").replace("+}", "/x").replace("}", "")
    for payload in (b'{"a": {"b": [1, "x"]}, "Time": "2024-01-01T00:00:00"}', b"21.5", b"\xff\x00"):
        try:
            catalog.decode(RawMessage(topic, payload, _NOW_NS))
        except GatewayError:
            continue


def configs(count: int, seed: int) -> Fuzzed:
    """Fuzz ``gateway.toml``."""
    files = [_ROOT / "packaging" / "gateway.toml", *_ROOT.glob("packaging/profiles/*.toml")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    texts += [text.replace("\n# ", "\n") for text in texts]  # with what is commented out

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "gateway.toml"

        def take(content: bytes) -> str:
            path.write_bytes(content)
            try:
                load_settings(path)
            except ConfigError:
                return _REFUSED
            return TAKEN

        return fuzz(take, TextFuzzer(texts, seed).text, count)


def cameras(count: int, seed: int) -> Fuzzed:
    """Fuzz the files of cameras."""
    text = (
        'url = "rtsp://user@10.0.0.7/stream1"\ntransport = "tcp"\nfps = 5\n[lines]\n'
        "door = [[0.5, 0.1], [0.5, 0.9]]\n[zones]\nhall = [[0, 0], [1, 0], [1, 1]]\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "entrance.toml"

        def take(content: bytes) -> str:
            path.write_bytes(content)
            try:
                load_camera(path)
            except GatewayError:
                return _REFUSED
            return TAKEN

        return fuzz(take, TextFuzzer([text], seed).text, count)


def _fuzzer(files: list[Path], seed: int) -> TextFuzzer:
    return TextFuzzer([file.read_text(encoding="utf-8") for file in sorted(files)], seed)
