"""The gateway's numbers for Prometheus, taken from its state when they are asked for."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.clock import Standing
from gateway.status import Running, is_ready, plugins


class GatewayCollector(Collector):
    """Counters and gauges of a running gateway; the histograms are `Latencies`' own."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        """Yield every family with its samples."""
        yield from self._ledger()
        yield from self._outcomes()
        yield from self._plugins()
        yield from self._cameras()
        yield from self._clock()

    def _ledger(self) -> Iterator[Metric]:
        ledger = self._running.ledger
        yield CounterMetricFamily("weir_messages_received", "Messages in", ledger.received)
        ended = CounterMetricFamily("weir_messages", "Messages by how they ended", labels=["end"])
        ended.add_metric(["stored"], ledger.stored_messages)
        ended.add_metric(["duplicate"], ledger.duplicates)
        ended.add_metric(["dead_letter"], ledger.dead_letters.total())
        ended.add_metric(["shed"], ledger.shed.total())
        ended.add_metric(["too_old"], ledger.too_old)
        ended.add_metric(["quarantined"], ledger.quarantined.total())
        yield ended
        dead = CounterMetricFamily("weir_dead_letters", "Dead letters", labels=["reason"])
        for reason, count in list(ledger.dead_letters.items()):
            dead.add_metric([reason], count)
        yield dead
        shed = CounterMetricFamily("weir_shed", "Shed at QoS 0", labels=["topic"])
        for topic, count in list(ledger.shed.items()):
            shed.add_metric([topic], count)
        yield shed
        yield from self._devices()
        yield GaugeMetricFamily("weir_messages_in_hand", "Not yet ended", ledger.in_hand())
        yield CounterMetricFamily("weir_readings", "Readings stored", ledger.readings)
        yield CounterMetricFamily(
            "weir_readings_duplicate", "Readings that were there", ledger.duplicate_readings
        )
        yield CounterMetricFamily(
            "weir_readings_too_old", "Readings too old to be kept", ledger.too_old_readings
        )
        bad = CounterMetricFamily("weir_bad_parts", "Of stored messages", labels=["profile"])
        for profile, count in list(ledger.bad_parts.items()):
            bad.add_metric([profile], count)
        yield bad

    def _devices(self) -> Iterator[Metric]:
        guard, ledger = self._running.pipeline.guard, self._running.ledger
        shed = CounterMetricFamily(
            "weir_quarantined", "Not looked at: too loud, or garbage", labels=["device"]
        )
        for device, count in list(ledger.quarantined.items()):
            shed.add_metric([device], count)
        yield shed
        devices = GaugeMetricFamily("weir_devices", "Devices that are unwell", labels=["state"])
        states = Counter(case["state"] for case in guard.cases())
        for state in ("limited", "quarantined"):
            devices.add_metric([state], states[state])
        devices.add_metric(["silent"], len(guard.silent()))
        yield devices

    def _outcomes(self) -> Iterator[Metric]:
        running, ledger = self._running, self._running.ledger
        yield CounterMetricFamily("weir_outcomes", "Outcomes kept by the leaf", ledger.outcomes)
        yield CounterMetricFamily(
            "weir_outcomes_repeated", "Outcomes that it had", ledger.outcomes_repeated
        )
        yield CounterMetricFamily(
            "weir_outcomes_thinned", "Removed from a queue nearly full", ledger.outcomes_thinned
        )
        yield GaugeMetricFamily("weir_queue_packets", "Waiting for the hub", running.queue.packets)
        yield GaugeMetricFamily("weir_queue_bytes", "Their bytes", running.queue.size_bytes)
        yield GaugeMetricFamily(
            "weir_queue_oldest_seconds", "Age of the oldest", running.queue.oldest_age_s
        )
        hub = running.forwarder.state()
        yield CounterMetricFamily("weir_forwarded", "Outcomes the hub stored", hub.forwarded)
        yield CounterMetricFamily(
            "weir_refused_by_hub", "Outcomes moved aside: the hub does not take them", hub.refused
        )
        yield GaugeMetricFamily("weir_hub_up", "The hub takes outcomes", float(hub.up))
        leaf = running.leaf.state()
        yield GaugeMetricFamily("weir_leaf_ready", "The leaf answers", float(leaf.ready))
        yield CounterMetricFamily("weir_leaf_restarts", "Restarts of the leaf", leaf.restarts)
        room = running.room
        yield GaugeMetricFamily("weir_disk_free_bytes", "Free on the disk", room.free_bytes)
        yield GaugeMetricFamily("weir_disk_stores", "Readings are stored", float(room.stores))
        yield GaugeMetricFamily("weir_ready", "Devices are served", float(is_ready(running)))

    def _clock(self) -> Iterator[Metric]:
        clock = self._running.clock
        standing = GaugeMetricFamily("weir_clock", "How sure it is", labels=["standing"])
        for each in Standing:
            standing.add_metric([each], float(each is clock.standing))
        yield standing
        yield CounterMetricFamily("weir_clock_moved", "Steps that were followed", clock.turn)
        yield GaugeMetricFamily(
            "weir_clock_system_ahead_seconds", "The system's clock, before it is followed",
            clock.wall_ahead_ns / 1e9,
        )  # fmt: skip

    def _cameras(self) -> Iterator[Metric]:
        streaming = GaugeMetricFamily("weir_camera_streaming", "Frames come", labels=["camera"])
        read = CounterMetricFamily("weir_camera_frames", "Frames read", labels=["camera"])
        dropped = CounterMetricFamily(
            "weir_camera_dropped", "Decoded, and overtaken by a newer one", labels=["camera"]
        )
        taken = CounterMetricFamily("weir_camera_taken", "Taken by plugins", labels=["camera"])
        age = GaugeMetricFamily("weir_camera_age_seconds", "Of the newest", labels=["camera"])
        again = CounterMetricFamily("weir_camera_reconnects", "Reconnects", labels=["camera"])
        back = GaugeMetricFamily(
            "weir_camera_recovery_seconds", "From the last loss to the next frame",
            labels=["camera"],
        )  # fmt: skip
        for camera in self._running.sights.cameras.states():
            label = [camera.name]
            streaming.add_metric(label, float(camera.state == "streaming"))
            read.add_metric(label, camera.read)
            dropped.add_metric(label, camera.dropped)
            taken.add_metric(label, camera.taken)
            again.add_metric(label, camera.reconnects)
            for family, value in ((age, camera.age_s), (back, camera.recovery_s)):
                if value is not None:
                    family.add_metric(label, value)
        yield from (streaming, read, dropped, taken, age, again, back)

    def _plugins(self) -> Iterator[Metric]:
        healthy = GaugeMetricFamily("weir_plugin_healthy", "Answers", labels=["plugin"])
        restarts = CounterMetricFamily("weir_plugin_restarts", "Restarts", labels=["plugin"])
        windows = CounterMetricFamily("weir_plugin_windows", "Evaluated", labels=["plugin"])
        skipped = CounterMetricFamily("weir_plugin_skipped", "Not evaluated", labels=["plugin"])
        rss = GaugeMetricFamily("weir_plugin_rss_bytes", "Memory", labels=["plugin"])
        for plugin in plugins(self._running):
            label = [plugin["name"]]
            healthy.add_metric(label, float(plugin["healthy"]))
            restarts.add_metric(label, plugin["restarts"])
            windows.add_metric(label, plugin["windows"])
            skipped.add_metric(label, plugin["skipped"])
            rss.add_metric(label, plugin["rss_bytes"])
        yield from (healthy, restarts, windows, skipped, rss)
