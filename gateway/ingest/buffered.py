"""paho, reading many packets with one system call.

paho asks the system four times for each packet: select, command, length, body. Each call lets go
of Python's lock and has to win it back from the busy threads beside it, which costs more than the
call.
"""

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

_READ_BYTES = 65_536


class BufferedClient(paho.Client):
    """A client for one connection: a new one is made to connect again."""

    _read = b""
    _at = 0

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle all packets that are here, not just one; see `paho.mqtt.client.Client`."""
        code = super().loop_read(max_packets)
        while code is MQTTErrorCode.MQTT_ERR_SUCCESS and self._at < len(self._read):
            code = super().loop_read(max_packets)
        return code

    def _sock_recv(self, bufsize: int) -> bytes:
        """Serve a read of paho's from what was read before, or else read all there is."""
        if self._at >= len(self._read):
            self._read = super()._sock_recv(max(bufsize, _READ_BYTES))
            self._at = 0
        part = self._read[self._at : self._at + bufsize]
        self._at += len(part)
        return part
