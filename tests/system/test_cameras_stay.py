"""Pixels stay: pictures full of noise, and no run of their bytes in all that is seen at the hub.

They come over RTSP and over MQTT. Looked for are the bytes of the JPEG files, as they are and as
base64, of what they hold in a comment, of the decoded pixels, of those in the model's size, and of
the snapshots that the gateway keeps.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.camera_stand import CONFIG, await_cameras, write_camera, write_plugin
from benchmarks.stand import Stand, stand
from gateway.demo.rtsp import rtsp_server
from gateway.inference.slots import fit_into
from tests.hub_spies import Spies, Tap

COMMENT = b"xPIXELx40961-xPIXELx40961"
WIDTH, HEIGHT, PICTURES = 320, 240, 3
MODEL_PX = 352
RUN_BYTES = 16
"""So many bytes of a picture in a row, at the hub, are a picture's and no chance."""


def picture(number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    comment = b"\xff\xfe" + (len(COMMENT) + 2).to_bytes(2) + COMMENT
    return jpeg[:2] + comment + jpeg[2:]


def runs(data: bytes, step: int) -> Iterator[bytes]:
    for at in range(0, len(data) - RUN_BYTES, step):
        run = data[at : at + RUN_BYTES]
        if len(set(run)) > RUN_BYTES // 2:  # not a table's or a letterbox's even stretch
            yield run


def marks(pictures: list[bytes]) -> set[bytes]:
    found = {COMMENT, *(base64.b64encode(COMMENT[i:])[:RUN_BYTES] for i in range(3))}
    for jpeg in pictures:
        body = jpeg[len(jpeg) // 4 :]  # behind the tables, which all JPEG files share
        found |= set(runs(body, 1009))
        found |= {run for i in range(3) for run in runs(base64.b64encode(body[i:]), 2003)}
        image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        fitted = np.zeros((MODEL_PX, MODEL_PX, 3), np.uint8)
        fit_into(image, fitted, letterbox=False)
        for pixels in (image, fitted):
            found |= set(runs(pixels.tobytes(), 6007))
    return found


@pytest.fixture
def tapped(tmp_path: Path, shared: Path) -> Iterator[tuple[Stand, Tap]]:
    with stand(tmp_path) as here:
        here.start_hub()
        leaf = urlsplit(here.leaf_url)
        tap = Tap((str(leaf.hostname), int(leaf.port or 0)))
        url = f"nats-leaf://127.0.0.1:{tap.port}"
        here.write_config(CONFIG.replace("{leaf_url}", url) + "[snapshots]\neach_outcome = true\n")
        write_plugin(here.state_dir / "plugins", shared / "data/FastestDet.onnx", always=True)
        here.start_gateway()
        yield here, tap
        tap.close()


async def test_no_byte_of_a_frame_is_seen_at_the_hub_when_cameras_are_looked_at(
    tapped: tuple[Stand, Tap],
) -> None:
    here, tap = tapped
    pictures = [picture(number) for number in range(PICTURES)]

    async def play() -> AsyncIterator[bytes]:
        for number in range(10_000):
            yield pictures[number % PICTURES]
            await asyncio.sleep(0.1)

    device = Client(CallbackAPIVersion.VERSION2, "camera")
    device.connect(*here.broker())
    device.loop_start()
    async with Spies(here) as spies, rtsp_server(play) as url:
        write_camera(here, "wired", url)
        write_camera(here, "wireless", "mqtt:esp32/cam7")
        looked = asyncio.create_task(
            asyncio.to_thread(
                await_cameras,
                here,
                lambda all_: min(all_[name]["taken"] for name in ("wired", "wireless")) > 12,
                "looked at",
            )
        )
        for number in range(400):
            for topic in ("esp32/cam7", "unknown/camera"):
                jpeg = pictures[number % PICTURES]
                said = jpeg if number % 2 else base64.b64encode(jpeg)
                device.publish(topic, said, qos=1, retain=number % 3 == 0)
            if looked.done():
                break
            await asyncio.sleep(0.1)
        await looked
        for camera in ("wired", "wireless"):
            asked = asyncio.to_thread(here.ask, f"/cameras/{camera}/snapshot?plugin=people", "")
            with contextlib.suppress(TimeoutError):
                device.publish("esp32/cam7", pictures[0], qos=1)
                assert await asyncio.wait_for(asked, 10)
        await asyncio.sleep(1.0)
    device.disconnect()
    device.loop_stop()

    kept = [file.read_bytes() for file in (here.state_dir / "snapshots").rglob("*.jpg")]
    assert len(kept) > 10
    seen = spies.everything(tap)
    for where in ("fleet", "mqtt"):  # the link is compressed when it is slow
        for name in (b"wired", b"wireless"):
            assert seen[where].count(b'"src":"' + name) > 10, (where, name)  # outcomes do go
    sought = marks(pictures) | {
        run for jpeg in kept[-10:] for run in runs(jpeg[len(jpeg) // 2 :], 4001)
    }
    assert len(sought) > 300
    for where, text in seen.items():
        assert not [mark for mark in sought if mark in text], where
