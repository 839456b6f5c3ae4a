"""XML as small devices send it: elements of text and elements, by name.

expat checks the syntax. A document type is refused, and with it entities of the document's own:
they are how a few bytes of XML become gigabytes or open files.
"""

from collections.abc import Mapping
from typing import Any, Literal
from xml.parsers import expat

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options

_MAX_DEPTH = 16
_MAX_ELEMENTS = 4096


class XmlOptions(Options):
    """``xml``: the elements in the outermost one as an object; attributes are left out.

    An element of elements is an object, any other one its text; of several with the same name
    there is an array.
    """

    name: Literal["xml"] = "xml"

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_xml``, ``too_deep`` (more than 16 levels), ``too_many_values``
        (more than 4,096 elements), ``empty_payload`` and ``too_large``.
        """
        return _xml


class _Reader:
    """Collects the elements of one document; the last of each list is the innermost open one."""

    def __init__(self) -> None:
        self.children: list[dict[str, Any]] = [{}]
        self.texts: list[list[str]] = [[]]
        self.count = 0

    def start(self, _name: str, _attributes: Mapping[str, str]) -> None:
        self.count += 1
        if len(self.children) > _MAX_DEPTH:
            raise DecodeError("too_deep", f"more than {_MAX_DEPTH} levels")
        if self.count > _MAX_ELEMENTS:
            raise DecodeError("too_many_values", f"more than {_MAX_ELEMENTS} elements")
        self.children.append({})
        self.texts.append([])

    def text(self, text: str) -> None:
        self.texts[-1].append(text)

    def end(self, name: str) -> None:
        inner, text = self.children.pop(), "".join(self.texts.pop()).strip()
        value: Any = inner or text
        outer = self.children[-1]
        if name not in outer:
            outer[name] = value
        elif isinstance(outer[name], list):
            outer[name].append(value)
        else:
            outer[name] = [outer[name], value]


def _refuse(*_: object) -> None:
    raise DecodeError("bad_xml", "a document type is not taken")


def _xml(message: RawMessage) -> dict[str, Any]:
    payload = message.payload
    if not payload:
        raise DecodeError("empty_payload")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    parser, reader = expat.ParserCreate(), _Reader()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(payload, True)
    except (expat.ExpatError, ValueError, LookupError) as exc:  # also an encoding that is none
        raise DecodeError("bad_xml", str(exc)) from exc
    [root] = reader.children[0].values()
    return root if isinstance(root, dict) else {}
