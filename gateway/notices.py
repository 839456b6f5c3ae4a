"""What the gateway itself has to say to the outside: outcomes like any other, of ``weir-<kind>``.

A store that was set aside, a device that fell silent: whoever runs ten thousand boxes hears of it
where the outcomes are. What was told last of each subject is kept as a watermark, so that a restart
neither forgets nor repeats it.
"""

import logging
from dataclasses import dataclass, field

from gateway import __version__
from gateway.errors import MessageError
from gateway.features import Mark
from gateway.model import Outcome, OutcomeContext, Packet, PluginIdentity, Result
from gateway.outcomes.packet import encode
from gateway.telling import Surroundings, Telling

log = logging.getLogger(__name__)

NAME = "weir"
"""Begins the plugin's name in such packets; no folder of a plugin may be called so."""
DOMAIN = "gateway"
FAULT = "gateway-fault"
"""The kind of what is wrong with the box itself."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the gateway noticed.

    Attributes:
        kind: What sort, a word of the outcome's subject: ``gateway-fault``, ``device-silent`` ...
        source: What it is about: a device, or the gateway by its name.
        label: What is the case now; a notice is told again only when this changes.
        end_ns: When it was noticed. With kind and source it makes the packet's id.
        asset: The class of what it is about.
        start_ns: Since when; 0: at ``end_ns``.
        score: How bad, on the kind's own scale.
        numbers: A few named numbers, most important first.
        about: What of the source, where several things of one kind can be the case: ``disk``,
            ``store`` ... Each has a label of its own.
        is_event: It is told again with the same label when it happened later.
    """

    kind: str
    source: str
    label: str
    end_ns: int
    asset: str = "box"
    start_ns: int = 0
    score: float = 1.0
    numbers: dict[str, float] = field(default_factory=dict)
    about: str = ""
    is_event: bool = False


class Notices:
    """Tells what the gateway noticed, until cancelled.

    Args:
        around: What it shares with the plugins.

    Attributes:
        telling: Its way to the leaf.
    """

    def __init__(self, around: Surroundings) -> None:
        self.telling = Telling(NAME, around)
        self._around = around
        self._marks: dict[str, Mark] = {}
        self.read_marks()

    def read_marks(self) -> None:
        """Go on from what the store says was told."""
        self._marks = dict(self._around.store.marks(NAME))

    @property
    def gateway(self) -> str:
        """Return the gateway's name: the source of what is about the box itself."""
        return self._around.site.gateway

    def now_ns(self) -> int:
        """Return what time it is, by the box's clock."""
        return self._around.clock.now_ns()

    async def run(self) -> None:
        """Tell until cancelled."""
        await self.telling.run()

    def last(self, kind: str, source: str, about: str = "") -> Mark | None:
        """Return what was told last of a kind and source: its label, and of when it was."""
        return self._marks.get(_key(kind, source, about))

    def labels(self, kind: str) -> dict[str, str]:
        """Return what was told last of each source of a kind."""
        begin = f"{kind}/"
        return {
            key.removeprefix(begin): mark.label
            for key, mark in self._marks.items()
            if key.startswith(begin)
        }

    def tell(self, notice: Notice) -> bool:
        """Tell a notice unless its label was the last one told; return whether it is new."""
        key = _key(notice.kind, notice.source, notice.about)
        last = self._marks.get(key)
        is_later = last and notice.is_event and notice.end_ns > last.end_ns
        if last and last.label == notice.label and not is_later:
            return False
        # Two notices of one source at one moment would have one id.
        end_ns = max(notice.end_ns, last.end_ns + 1_000_000 if last else 0)
        try:
            packet = self.packet(notice, end_ns)
        except MessageError as exc:
            self._around.ledger.outcomes_refused += 1
            log.error("%s of %s cannot be told: %s", notice.kind, notice.source, exc)  # noqa: TRY400 - says all
            return False
        log.warning("%s: %s: %s %s", notice.kind, notice.source, notice.label, notice.numbers or "")
        self.telling.tell(packet, _result(notice))
        mark = self._marks[key] = Mark(end_ns, notice.label, end_ns)
        self.telling.reach(key, mark)
        return True

    def packet(self, notice: Notice, end_ns: int) -> Packet:
        """Return a notice as it leaves, for who hands it over himself.

        Raises:
            MessageError: It cannot be told.
        """
        return encode(self._outcome(notice, end_ns))

    def _outcome(self, notice: Notice, end_ns: int) -> Outcome:
        return Outcome(
            gateway=self._around.site.gateway,
            source=notice.source,
            context=OutcomeContext(DOMAIN, notice.asset, notice.kind),
            plugin=PluginIdentity(f"{NAME}-{notice.kind}", __version__, ""),
            quantities=(),
            start_ns=notice.start_ns or end_ns,
            end_ns=end_ns,
            result=_result(notice),
            received_ns=end_ns,
            clock=self._around.clock.standing,
            rank="alarm",
        )


def _result(notice: Notice) -> Result:
    return Result(notice.label, notice.score, numbers=notice.numbers)


def _key(kind: str, source: str, about: str) -> str:
    return f"{kind}/{source}/{about}" if about else f"{kind}/{source}"
