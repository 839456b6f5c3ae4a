"""The codec for XML."""

import pytest

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.xml import XmlOptions

DECODE = XmlOptions().build()


def decode(payload: bytes) -> object:
    return DECODE(RawMessage("t", payload, 0))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'<?xml version="1.0" ?><vs><ac>170</ac><fx> 9 </fx></vs>', {"ac": "170", "fx": "9"}),
        (b"<a><b>1</b><c/><b>2</b><b>3</b></a>", {"b": ["1", "2", "3"], "c": ""}),
        (b"<a>\n <b><c>1</c>\n</b></a>", {"b": {"c": "1"}}),
        ("<a><b>21 °C &lt; 30</b></a>".encode(), {"b": "21 °C < 30"}),
        (b'<a n="1"><b unit="V">2</b></a>', {"b": "2"}),
        (b"<a><![CDATA[<b>]]></a>", {}),
        (b"<a/>", {}),
    ],
)
def test_elements_become_an_object_when_xml_is_sound(payload: bytes, expected: object) -> None:
    assert decode(payload) == expected


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty_payload"),
        (b"170", "bad_xml"),
        (b"<a><b></a>", "bad_xml"),
        (b"<a/><b/>", "bad_xml"),
        (b"<a>\xff</a>", "bad_xml"),
        (b'<?xml version="1.0" encoding="none-such"?><a/>', "bad_xml"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "bad_xml"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "bad_xml"),
        (b"<a>&b;</a>", "bad_xml"),
        (b"<a>" * 17 + b"</a>" * 17, "too_deep"),
        (b"<a>" + b"<b/>" * 4096 + b"</a>", "too_many_values"),
        (b"<a>" + b"x" * 1_000_000 + b"</a>", "too_large"),
    ],
)
def test_reason_is_told_when_xml_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(payload)
    assert caught.value.reason == reason
