"""What is taken out of a support bundle's text, and what stays."""

from pathlib import Path

import pytest

from gateway.support.redaction import MASK, Redactor
from gateway.support.secrets import in_file

SEED = "SU" + "A" * 56


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('url = "tls://shop:pa%40ss@hub:7422"', f'url = "tls://{MASK}@hub:7422"'),
        ("dial wss://T0KEN@hub/x failed", f"dial wss://{MASK}@hub/x failed"),
        ("http://cam/v.cgi?user=a&pwd=b c", f"http://cam/v.cgi?{MASK} c"),
        ('#password = "hunter2"  # old', f'#password = "{MASK}"  # old'),
        ('{"api_key": "abc", "x": 1}', f'{{"api_key": "{MASK}", "x": 1}}'),
        ("weir join nats://h --token abc", f"weir join nats://h --token {MASK}"),
        ("WEIR_MQTT__PASSWORD=abc", f"WEIR_MQTT__PASSWORD={MASK}"),
        ("Authorization: Basic QWxhZGRpbg==", f"Authorization: {MASK}"),
        ("shop:$7$101$c2FsdA==$aGFzaA==", f"shop:{MASK}"),
        (f"seed is {SEED} there", f"seed is {MASK} there"),
        ("jwt eyJ0eXAiOiJKV1Qi.eyJqdGki.c2ln end", f"jwt {MASK} end"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nx", f"{MASK}\nx"),
        ("-----BEGIN USER NKEY SEED-----\nSUA", MASK),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, clean: str) -> None:
    assert Redactor().clean(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        'password_file = "/etc/weir/mqtt.pass"',
        "user, password, token or credentials are wrong",
        "http://127.0.0.1:9108/metrics",
        "camera rtsp://10.0.0.9:554/stream?channel=1",
        'password = ""',
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().clean(text) == text


def test_known_secrets_are_taken_out_wherever_and_however_they_stand() -> None:
    redactor = Redactor(["p@ss w0rd", "p@ss w0rd and more", "short"])
    text = "a p@ss w0rd and more, p%40ss%20w0rd, short"
    assert redactor.clean(text) == f"a {MASK}, {MASK}, short"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("passwords.json", '{"up": "abcdefgh"}', "abcdefgh"),
        ("devices.json", '[{"name": "p", "key": "00ff00ff"}]', "00ff00ff"),
        ("passwords", "plug:$7$1$a$b\n", "$7$1$a$b"),
        ("psk", "plug:00ff00ff\n", "00ff00ff"),
        ("hub.login", "shop:pa%40ssword\n", "pa@ssword"),
        ("hub.creds", "-----BEGIN X-----\neyJ0\n------END X------\n\nSUAAA\n", "SUAAA"),
        ("front.toml", 'url = "rtsp://admin:s3cret@cam/1"', "s3cret"),
        ("mqtt.pass", "hunter22\n", "hunter22"),
    ],
)
def test_secrets_are_found_in_each_kind_of_file(name: str, text: str, expected: str) -> None:
    assert expected in set(in_file(Path(name), text))


def test_no_secret_is_seen_in_files_that_hold_none() -> None:
    assert not set(in_file(Path("acl"), "user plug\ntopic readwrite tele/plug/#\n"))
    assert not set(in_file(Path("ports.json"), '{"client": 4222}'))
