"""What an operator does on a box: join, doctor, support-bundle, leave, with a gateway that runs."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.stand import Stand, stand
from tests.conftest import Weir

CONFIG = """
# The old broker had password = "in-a-comment-5d1f".
[gateway]
name = "box-01"
state_dir = "{state_dir}"
[mqtt]
port = 0
topics = ["#"]
username = "gateway"
password_file = "{folder}/broker.pass"
[metrics]
port = 0
"""
SECRETS = {
    "broker.pass": "broker-9a77",
    "secrets/other.login": "box-01:hub%20p%40ss-41c0",
    "state/cameras/front.toml": 'url = "rtsp://admin:camera-3e2b@127.0.0.1:1/s?pwd=query-6b1c"',
    "state/mqtt/psk": "plug-7:00112233445566778899aabbccddeeff",
    "state/mqtt/passwords": "plug-8:$7$101$c2FsdHNhbHQ=$aGFzaGhhc2hoYXNo",
    "state/mqtt/devices.json": '{"devices": [{"name": "plug-7", "key": "ffeeddccbbaa99887766"}]}',
    "state/leaf/old.log": "dial nats-leaf://b:log-8f20@hub:7422\ntoken=log-71aa, hub p@ss-41c0",
}
NEVER = [
    "in-a-comment-5d1f", "broker-9a77", "hub p@ss-41c0", quote("hub p@ss-41c0"), "camera-3e2b",
    "query-6b1c", "00112233445566778899aabbccddeeff", "aGFzaGhhc2hoYXNo", "ffeeddccbbaa99887766",
    "log-8f20", "log-71aa",
]  # fmt: skip
RAW = "raw-marker-b7d3"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with stand(tmp_path_factory.mktemp("operator")) as made:
        made.start_hub()
        for name, text in SECRETS.items():
            (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (made.folder / name).write_text(text)
        made.write_config(CONFIG.replace("{folder}", str(made.folder)))
        made.start_gateway()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
        client.connect(*made.broker())
        client.loop_start()
        client.publish("nobody/claims", RAW, qos=1).wait_for_publish(10.0)
        client.publish("sensors/one", json.dumps({"note": RAW}), qos=1).wait_for_publish(10.0)
        client.disconnect()
        made.settle()
        yield made


def content(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as found:
        read = {m.name.partition("/")[2]: found.extractfile(m) for m in found.getmembers()}
        return {name: file.read().decode() for name, file in read.items() if file}


def test_a_hub_is_joined_and_left_when_it_is_there(here: Stand, weir: Weir) -> None:
    config = str(here.folder / "gateway.toml")
    refused = weir("join", "nats://127.0.0.1:1", "-c", config)
    assert refused.returncode == 1
    assert "Nothing was changed" in refused.stderr
    assert not (here.folder / "gateway.d").exists()
    joined = weir("join", here.leaf_url, "-c", config, "--wait", "0")
    assert joined.returncode == 0, joined.stderr
    assert "the hub takes the link" in joined.stdout
    assert "Restart the gateway" in joined.stdout
    here.stop("gateway")
    here.start_gateway()
    again = weir("join", here.leaf_url, "-c", config, "--wait", "2", "--json")
    document = json.loads(again.stdout)
    assert (document["running"], document["up"], document["reason"]) == (True, True, "")


def test_no_secret_and_no_raw_data_is_in_a_support_bundle(
    here: Stand, weir: Weir, tmp_path: Path
) -> None:
    config = str(here.folder / "gateway.toml")
    file = tmp_path / "bundle.tar.gz"
    said = weir("support-bundle", "-o", str(file), "-c", config)
    assert said.returncode == 0, said.stderr
    assert file.stat().st_mode & 0o077 == 0
    found = content(file)
    together = "\n".join([*found, *found.values()])
    passwords = json.loads((here.state_dir / "leaf/passwords.json").read_text())
    for secret in [*NEVER, *passwords.values()]:
        assert secret not in together, secret
    assert RAW not in together
    assert '"ready": true' in found["status.json"]
    assert "weir_messages_received_total" in found["metrics.txt"]
    assert "unclaimed" in found["deadletters.json"]
    assert {"doctor.json", "versions.txt", "configuration/gateway.toml"} <= {*found}
    assert "rtsp://<removed>@127.0.0.1" in found["configuration/cameras/front.toml"]
    again = weir("support-bundle", "-o", str(file), "-c", config)
    assert again.returncode == 78, "a file that is there is not overwritten"


def test_raw_data_is_in_a_support_bundle_only_when_it_is_asked_for(
    here: Stand, weir: Weir, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.tar.gz"
    config = str(here.folder / "gateway.toml")
    assert weir("support-bundle", "--with-samples", "-o", str(file), "-c", config).returncode == 0
    found = content(file)
    assert RAW in found["samples/deadletters.json"]
    assert RAW in found["samples/devices.json"]
    assert not any(secret in text for text in found.values() for secret in NEVER)


def test_the_doctor_tells_what_is_wrong_and_changes_nothing(here: Stand, weir: Weir) -> None:
    config = str(here.folder / "gateway.toml")
    (here.folder / "broker.pass").chmod(0o644)
    said = weir("doctor", "--json", "-c", config)
    document = json.loads(said.stdout)
    by_check = {(each["check"], each["state"]) for each in document["findings"]}
    assert {("gateway", "ok"), ("broker", "ok"), ("leaf", "ok"), ("store", "ok")} <= by_check
    assert ("secrets", "fail") in by_check
    assert ("dead letters", "warn") in by_check
    assert [each["number"] for each in document["findings"]] == list(
        range(1, len(document["findings"]) + 1)
    )
    assert said.returncode == 1
    assert all(each["do"] for each in document["findings"] if each["state"] in {"warn", "fail"})


def test_the_hub_is_taken_back_when_it_is_left(here: Stand, weir: Weir) -> None:
    config = str(here.folder / "gateway.toml")
    left = weir("leave", "-c", config)
    assert left.returncode == 0, left.stderr
    assert "kept" in left.stdout
    assert not [*(here.folder / "gateway.d").iterdir()]
    assert [f.name for f in (here.folder / "secrets").iterdir()] == ["other.login"]
