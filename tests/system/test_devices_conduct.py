"""A loud device and one with nothing but garbage, against a gateway as a user starts it."""

from pathlib import Path

from benchmarks.noisy import GARBAGE, LOUD, Case, prepared, run
from benchmarks.stand import mosquitto as running

CASE = Case(
    before_s=3.0,
    noise_s=14.0,
    after_s=4.0,
    devices=50,
    loud_hz=2000.0,
    garbage_hz=500.0,
    qos=1,
    policy="limit_hz = 50\ngarbage_hz = 30\nlimit_after_s = 2\nquarantine_after_s = 3",
)


def test_noise_is_kept_from_the_others_and_stays_so_over_a_restart(
    tmp_path: Path, mosquitto: str
) -> None:
    with running(tmp_path, mosquitto) as broker, prepared(CASE, broker) as here:
        noisy = run(here, CASE)
        messages = noisy.messages
        by_device: dict[str, list[str]] = {}
        for source, label, _ in noisy.told:
            by_device.setdefault(source, []).append(label)
        assert by_device == {
            LOUD: ["limited", "quarantined"],
            GARBAGE: ["limited", "quarantined"],
        }, noisy
        assert noisy.stored == noisy.sent["bench"], "the others lose nothing"
        assert noisy.outcomes["noise, limited"] > 0, noisy
        assert messages["quarantined"] > 0.5 * (noisy.sent["loud"] + noisy.sent["garbage"])
        assert sum(noisy.sent.values()) == messages["received"], noisy
        assert messages["in_hand"] == 0
        assert messages["received"] == messages["stored"] + messages["quarantined"] + sum(
            messages["dead_letters"].values()
        ) + messages["duplicates"] + messages["shed"]  # fmt: skip

        here.stop("gateway")
        here.start_gateway()
        cases = {each["device"]: each for each in here.ask("/status")["noisy"]}
        assert {name: each["state"] for name, each in cases.items()} == {
            LOUD: "quarantined",
            GARBAGE: "quarantined",
        }
        assert here.ask("/devices/release", LOUD) == {"released": LOUD}
        assert [each["device"] for each in here.ask("/status")["noisy"]] == [GARBAGE]
