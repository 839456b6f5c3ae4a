"""All that can be seen at a hub: on the link to it, and by subscribers on everything."""

import json
import socket
import threading
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.stand import Stand


class Tap:
    """Passes bytes on between the gateway and the hub's leaf port, and keeps them all."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.seen = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self.seen += data
                sink.sendall(data)
        except OSError:
            pass  # the other direction ended
        finally:
            for end in (source, sink):
                end.close()

    def close(self) -> None:
        self._server.close()


class Spies:
    """Everything that is published at the hub: both accounts over NATS, and over MQTT."""

    def __init__(self, here: Stand) -> None:
        self.seen: dict[str, list[bytes]] = {"fleet": [], "sys": [], "mqtt": []}
        self._here = here
        self._clients: list[NatsClient] = []
        self._mqtt = Client(CallbackAPIVersion.VERSION2, "spy")

    async def __aenter__(self) -> "Spies":
        url = urlsplit(self._here.hub_url)
        passwords = json.loads((self._here.folder / "hub/passwords.json").read_text())
        for account in ("fleet", "sys"):
            client = await nats.connect(
                f"nats://{account}:{passwords[account]}@{url.hostname}:{url.port}"
            )

            async def note(message: Msg, account: str = account) -> None:
                headers = repr(message.headers or "").encode()
                said = (message.subject.encode(), message.reply.encode(), headers, message.data)
                self.seen[account].append(b"\0".join(said))

            await client.subscribe(">", cb=note)
            self._clients.append(client)
        self._mqtt.on_message = self._note_mqtt
        ports = json.loads((self._here.folder / "hub/ports.json").read_text())
        self._mqtt.connect("127.0.0.1", ports["mqtt"])
        self._mqtt.subscribe("#")
        self._mqtt.loop_start()
        return self

    def _note_mqtt(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.seen["mqtt"].append(message.topic.encode() + b"\0" + bytes(message.payload))

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def everything(self, tap: Tap) -> dict[str, bytes]:
        """Return all bytes seen, by where: at the hub, on the link, and in the hub's files."""
        seen = {name: b"\n".join(said) for name, said in self.seen.items()}
        seen["link"] = bytes(tap.seen)
        files = [file for file in (self._here.folder / "hub").rglob("*") if file.is_file()]
        seen["hub's files"] = b"\n".join(file.read_bytes() for file in files)
        return seen
