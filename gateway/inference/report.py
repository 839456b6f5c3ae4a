"""Which results become outcomes: when the label changes, and again while something is wrong."""

from typing import NamedTuple, Protocol

from gateway.model import Result

_NS = 1_000_000_000


class ReportPolicy(Protocol):
    """What a plugin's ``[report]`` says.

    Attributes:
        on: ``("change",)`` or nothing.
        normal: The label of nothing wrong.
        every_s: Distance of two reports while the label is not ``normal``; 0: no repeats.
        always: Every result is reported.
        min_score: Results that are not ``normal`` are left out below this score.
    """

    @property
    def on(self) -> tuple[str, ...]: ...  # noqa: D102 - told above
    @property
    def normal(self) -> str: ...  # noqa: D102
    @property
    def every_s(self) -> float: ...  # noqa: D102
    @property
    def always(self) -> bool: ...  # noqa: D102
    @property
    def min_score(self) -> float | None: ...  # noqa: D102


class Reported(NamedTuple):
    """What was last reported of one source by one plugin; kept with the watermark.

    Attributes:
        label: The label reported.
        end_ns: End of the window that it was of.
    """

    label: str
    end_ns: int


def judge(
    policy: ReportPolicy, last: Reported | None, result: Result, end_ns: int
) -> tuple[bool, Reported | None]:
    """Say whether a result is reported, from nothing but what is given.

    The same windows in the same order give the same reports, so an evaluation repeated after a
    crash gives the outcomes that it gave before.

    Args:
        policy: The plugin's.
        last: What was last reported of this source, or None.
        result: What the plugin found.
        end_ns: End of its window.

    Returns:
        Whether to report it, and what to keep as ``last`` from now on.
    """
    if _wanted(policy, last, result, end_ns):
        return True, Reported(result.label, end_ns)
    return False, last


def _wanted(policy: ReportPolicy, last: Reported | None, result: Result, end_ns: int) -> bool:
    wrong = result.label != policy.normal
    if result.suppress:
        return False
    if wrong and policy.min_score is not None and result.score < policy.min_score:
        return False
    if policy.always:
        return True
    if "change" in policy.on and (last is None or last.label != result.label):
        return True
    if not wrong or not policy.every_s:
        return False
    return last is None or end_ns - last.end_ns >= round(policy.every_s * _NS)
