"""What is said about a hub, what becomes of it on the disk, and what its refusals mean."""

import stat
from pathlib import Path

import pytest

from gateway.config import load_settings
from gateway.errors import ConfigError
from gateway.joining.arrival import arrival
from gateway.joining.login import Invitation, invitation
from gateway.joining.papers import Papers
from gateway.joining.wording import reason

CREDS = "-----BEGIN NATS USER JWT-----\neyJ0\n-----BEGIN USER NKEY SEED-----\nSUA\n"
URL = "tls://hub.example"


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    config = tmp_path / "etc/gateway.toml"
    config.parent.mkdir()
    config.write_text(f'[gateway]\nname = "gw-01"\nstate_dir = "{tmp_path / "state"}"\n')
    return Papers(config, tmp_path / "state")


@pytest.fixture
def creds(tmp_path: Path) -> Path:
    (tmp_path / "given.creds").write_text(CREDS)
    return tmp_path / "given.creds"


@pytest.mark.parametrize(
    ("url", "options", "login"),
    [
        (URL, {}, ""),
        (URL, {"token": "a b"}, "a%20b"),
        (URL, {"token": "p:w", "user": "shop"}, "shop:p%3Aw"),
        ("tls://shop:p%40w@hub.example", {}, "shop:p%40w"),
        ("tls://t0ken@hub.example", {}, "t0ken"),
    ],
)
def test_the_login_is_kept_apart_from_the_url(
    url: str, options: dict[str, str], login: str
) -> None:
    assert invitation(url, **options) == Invitation(URL, login)  # type: ignore[arg-type] # of several types


@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("ftp://hub", {}, "must be"),
        ("tls://u:p@hub", {"token": "t"}, "one way to log in"),
        (URL, {"user": "u"}, "its password is missing"),
        (URL, {"ca": Path("/nowhere.pem")}, "no such file"),
        (URL, {"creds": Path("/nowhere.creds")}, "No such file"),
        (URL, {"creds": Path(pytest.__file__)}, "not a NATS credentials file"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    url: str, options: dict[str, str | Path], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        invitation(url, **options)  # type: ignore[arg-type] # of several types


@pytest.mark.parametrize(("url", "is_open"), [("nats://h", True), ("wss://h", False)])
def test_a_login_in_the_clear_is_told(url: str, *, is_open: bool) -> None:
    assert Invitation(url, "t").is_open_to_listeners == is_open
    assert not Invitation(url).is_open_to_listeners


def test_secrets_lie_in_files_of_their_own_when_a_hub_is_joined(
    papers: Papers, creds: Path
) -> None:
    papers.write(Invitation(URL, creds=creds, ca=creds))
    hub = load_settings(papers.config).hub
    assert (hub.url, hub.login_file) == (URL, None)
    assert hub.credentials_file is not None
    assert hub.credentials_file.read_text() == CREDS
    assert stat.S_IMODE(hub.credentials_file.stat().st_mode) == 0o640
    assert stat.S_IMODE(papers.secrets.stat().st_mode) == 0o750
    papers.write(Invitation(URL, "shop:p%40w"))
    hub = load_settings(papers.config).hub
    assert hub.login_file is not None
    assert hub.login_file.read_text() == "shop:p%40w\n"
    assert "p%40w" not in papers.table.read_text()
    assert [path.name for path in papers.secrets.iterdir()] == ["hub.login"], "the other is gone"


def test_nothing_is_left_when_a_hub_is_left(papers: Papers) -> None:
    before = sorted(papers.config.parent.rglob("*"))
    papers.write(Invitation(URL, "t"))
    assert papers.remove()
    assert not papers.remove()
    assert {*papers.config.parent.rglob("*")} - {*before} == {papers.table.parent}


def test_all_is_as_it_was_when_something_else_names_another_hub(papers: Papers) -> None:
    papers.write(Invitation(URL, "first"))
    (papers.table.parent / "zz.toml").write_text('[hub]\nurl = "tls://other"\n')
    with pytest.raises(ConfigError, match=r"hub\.url is set elsewhere"):
        papers.write(Invitation("tls://third"))
    assert URL in papers.table.read_text()
    assert papers.files()["login_file"].read_text() == "first\n"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("[1] 2026/1/1 [ERR] h:1 - lid:6 - Leafnode Error 'Authorization Violation'", "let"),
        ("[ERR] h:1 - lid:6 - attempted to connect to wrong port", "usually 7422"),
        ("[ERR] x509: certificate signed by unknown authority (CN=h)", "--ca"),
        ("[ERR] tls: x509: certificate has expired or is not yet valid: now", "clock"),
        ("[ERR] x509: certificate is valid for a, not b", "another name"),
        ("[INF] h:1 - lid:7 - Leafnode connection closed: TLS Handshake Failure", "speak TLS"),
        ("[ERR] dial tcp 1.2.3.4:1: connect: connection refused", "nothing listens"),
        ("[ERR] dial tcp 1.2.3.4:1: i/o timeout", "firewall"),
        ("[ERR] lookup h: no such host", "DNS"),
        ("[ERR] Error soliciting websocket connection: invalid websocket connection", "proxy"),
    ],
)
def test_a_refusal_is_told_in_words(said: str, meant: str) -> None:
    assert meant in reason(["[INF] Server is ready", "[WRN] use nkeys or bcrypt", said])


def test_no_reason_is_made_up_when_all_is_well() -> None:
    assert not reason(["[INF] h:1 - lid:6 - Leafnode connection created for account: UP"])


def test_the_packet_shown_is_one_that_is_at_the_hub() -> None:
    sent = [{"packet": name} for name in ("newest", "middle", "oldest")]
    hub = {"url": URL, "up": True, "reason": "", "forwarded": 2}
    status = {"hub": hub, "outcomes": {"queued": 1}}
    assert arrival(status, URL, sent).packet == "middle"
    none_yet = {"hub": {**hub, "forwarded": 0}, "outcomes": {"queued": 3}}
    assert not arrival(none_yet, URL, sent).packet
    assert not arrival(status, "tls://another", sent).running
