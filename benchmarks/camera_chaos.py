"""One camera in all kinds of trouble: when it is looked at again, and what the others notice."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.camera_load import gateway
from benchmarks.camera_stand import Means, await_cameras, cameras, percentiles, write_camera
from benchmarks.stand import Stand
from tests.rtsp_server import RtspServer, Wire

MUST_RETURN_S = 5.0
VICTIM = "victim"
FPS = 10.0
_OTHERS = ("left", "right")
_FROZEN_AFTER_S = 3.0
_STALL_AFTER_S = 3.0
_WARM_UP_KILLS = 3


@dataclass(frozen=True, slots=True)
class Chaos:
    """What came of it.

    Attributes:
        back_s: By trouble, the times from its end to the capture of the next frame looked at.
        frozen_seen_s: From the picture's standing still to its being noticed.
        memory_mb: Of the gateway and of the plugin's process, before and after.
        threads, files: Of the gateway, before and after.
        others_fps: Frames per second of the other cameras that were looked at.
        others_gap_s: The longest time between two of these.
        others_delay_ms: p50, p95, p99 of their frames' age at the PubAck.
        reconnects: Of the camera, as the gateway counts them.
    """

    back_s: dict[str, list[float]]
    frozen_seen_s: float
    memory_mb: dict[str, tuple[float, float]]
    threads: tuple[int, int]
    files: tuple[int, int]
    others_fps: dict[str, float]
    others_gap_s: float
    others_delay_ms: list[float]
    reconnects: int

    @property
    def worst_s(self) -> float:
        """Return the longest return."""
        return max(max(times) for times in self.back_s.values())


@dataclass(slots=True)
class Scene:
    """A gateway, the camera in trouble, and the wire to it.

    Attributes:
        trouble_s: How long a trouble lasts, about.
    """

    here: Stand
    server: RtspServer
    wire: Wire
    rng: random.Random
    trouble_s: float = 2.0
    back_s: dict[str, list[float]] = field(default_factory=dict)

    def note_return(self, trouble: str, began_ns: int, limit_s: float = 20.0) -> None:
        """Wait for the next frame that is looked at, and note when it was captured.

        Raises:
            RuntimeError: There is none in time.
        """
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            first_us = self.here.ask(
                "/sql",
                "SELECT min(epoch_us(window_end)) FROM outcome"  # noqa: S608 - a number
                f" WHERE source = '{VICTIM}' AND epoch_us(window_end) > {began_ns // 1000}",
            )["rows"][0][0]
            if first_us is not None:
                back_s = round(first_us / 1e6 - began_ns / 1e9, 2)
                self.back_s.setdefault(trouble, []).append(back_s)
                return
            time.sleep(0.1)
        raise RuntimeError(f"{trouble}: no frame in {limit_s:g} s: {cameras(self.here)[VICTIM]}")

    def kill(self) -> None:
        """End the camera's server, and start it again after a while."""
        self.server.kill()
        time.sleep(self.rng.uniform(0.2, 1.5 * self.trouble_s))
        self.server.start()
        self.note_return("killed", time.time_ns())

    def cut(self) -> None:
        """Close the connections, refuse others for a while."""
        self.wire.cut()
        time.sleep(self.trouble_s)
        self.wire.restore()
        self.note_return("cut", time.time_ns())

    def vanish(self) -> None:
        """Let packets vanish until the gateway has noticed."""
        self.wire.stall()
        time.sleep(_STALL_AFTER_S + 2.0)
        self.wire.restore()
        self.note_return("packets vanish", time.time_ns())

    def freeze(self) -> float:
        """Let the picture stand still, and return when that was noticed."""
        self.server.freeze()
        seen_s = await_cameras(
            self.here, lambda all_: "change" in all_[VICTIM]["reason"], "seen to be frozen"
        )
        self.server.freeze(frozen=False)
        self.note_return("frozen", time.time_ns())
        return seen_s

    def damage(self) -> None:
        """Turn bits and lose packets for a while; frames may still come."""
        self.server.corrupt(flip=0.01, drop=0.2)
        time.sleep(self.trouble_s)
        self.server.corrupt()
        self.note_return("damaged", time.time_ns())

    def resize(self) -> None:
        """Go on in another size in the middle of the stream, and back."""
        for size in ((640, 360), (768, 432)):
            self.server.resize(*size)
            self.note_return("size changed", time.time_ns())
            time.sleep(1.0)

    def come_back_smaller(self) -> None:
        """Come back in another size, and in the first again."""
        for size in ((320, 240), (768, 432)):
            self.server.kill()
            time.sleep(0.5)
            self.server.start(size=size)
            self.note_return("another size", time.time_ns())
            await_cameras(
                self.here,
                lambda all_, s=size: (all_[VICTIM]["width"], all_[VICTIM]["height"]) == s,  # type: ignore[misc] # the default binds the loop's value
                f"{size}",
            )


def run(folder: Path, means: Means, *, kills: int = 50, seed: int = 1) -> Chaos:
    """Bring one camera of three into trouble, and watch all of them.

    Args:
        folder: Everything lies below it.
        means: The other cameras send the clip.
        kills: How often the camera is killed; the other troubles come a tenth as often.
        seed: Of the moments.
    """
    made = RtspServer(means.program, size=(768, 432), fps=FPS)
    steady = RtspServer(means.program, file=means.clip, fps=FPS, streams=len(_OTHERS))
    with made as server, steady as others, gateway(folder, means.model, fps=FPS) as here:
        wire = Wire(server.port)
        write_camera(
            here, VICTIM, server.url(port=wire.port),
            frozen_after_s=_FROZEN_AFTER_S, stall_after_s=_STALL_AFTER_S,
        )  # fmt: skip
        for number, name in enumerate(_OTHERS, start=1):
            write_camera(here, name, others.url(number))
        everyone = {VICTIM, *_OTHERS}
        await_cameras(
            here,
            lambda all_: {n for n, c in all_.items() if c["taken"] > 20} == everyone,
            "all looked at",
        )
        scene = Scene(here, server, wire, random.Random(seed))  # noqa: S311 - moments of a test
        for _ in range(min(_WARM_UP_KILLS, kills)):
            scene.kill()
        before, since_ns = _use(here), time.time_ns()
        frozen_seen_s = _troubles(scene, kills)
        time.sleep(2.0)
        chaos = _chaos(scene, before, since_ns, frozen_seen_s)
        wire.close()
        return chaos


def _troubles(scene: Scene, kills: int) -> float:
    rest = kills - _WARM_UP_KILLS
    seen_s = 0.0
    for number in range(max(rest, 1)):
        if number < rest:
            scene.kill()
        if number % 10 == 0:
            seen_s = max(seen_s, scene.freeze())
            calls: tuple[Callable[[], None], ...] = (
                scene.cut, scene.vanish, scene.damage, scene.resize, scene.come_back_smaller,
            )  # fmt: skip
            for call in calls:
                call()
    return round(seen_s, 2)


def _chaos(
    scene: Scene, before: dict[str, tuple[float, int, int]], since_ns: int, frozen_seen_s: float
) -> Chaos:
    here = scene.here
    after = _use(here)
    rows = here.ask(
        "/sql",
        "SELECT source, count(*), (max(t) - min(t)) / 1e6, max(gap) / 1e6, list(late) FROM ("  # noqa: S608 - a number
        " SELECT source, epoch_us(window_end) AS t,"
        " t - lag(t) OVER (PARTITION BY source ORDER BY t) AS gap,"
        " (epoch_us(time) - t) / 1e3 AS late FROM outcome"
        f" WHERE source <> '{VICTIM}' AND t > {since_ns // 1000}) GROUP BY source",
    )["rows"]
    gone = (0.0, 0, 0)
    return Chaos(
        back_s=scene.back_s,
        frozen_seen_s=frozen_seen_s,
        memory_mb={name: (was[0], after.get(name, gone)[0]) for name, was in before.items()},
        threads=(before["gateway"][1], after["gateway"][1]),
        files=(before["gateway"][2], after["gateway"][2]),
        others_fps={source: round(count / took, 2) for source, count, took, _, _ in rows},
        others_gap_s=round(max(gap for _, _, _, gap, _ in rows), 2),
        others_delay_ms=percentiles([late for *_, all_ in rows for late in all_]),
        reconnects=cameras(here)[VICTIM]["reconnects"],
    )


def _use(here: Stand) -> dict[str, tuple[float, int, int]]:
    """Return MB, threads and open files of the gateway and its worker."""
    found: dict[str, tuple[float, int, int]] = {}
    for name in ("gateway", "worker"):
        process: psutil.Process = here.tree()[name]
        rss_mb = round(process.memory_info().rss / 1e6, 1)
        found[name] = rss_mb, process.num_threads(), process.num_fds()
    return found
