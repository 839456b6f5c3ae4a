"""What is to be removed from the queue, written down in the queue before it is done.

The packet that tells of a removal and the plan of it are stored in one atomic batch: both or none.
Then the packets go, then the plan. A plan that is found at a start is carried out to its end, so
the books add up whenever the power goes.
"""

from collections.abc import Sequence

import orjson
from nats.aio.client import Client

from gateway.outcomes.direct import delete, reading
from gateway.outcomes.publishing import Letter
from gateway.topics import OUTQ_PLAN


def plan_letter(packet: str, sequences: Sequence[int]) -> Letter:
    """Return a plan.

    Args:
        packet: Id of the packet that tells of it.
        sequences: What is to be removed.
    """
    return Letter(f"{packet}.plan", OUTQ_PLAN, OUTQ_PLAN, orjson.dumps(sequences), {})


async def carry_out_plans(client: Client) -> None:
    """Carry out what plans there are; what is gone already is passed over.

    Raises:
        LinkError: The leaf is away; to be called again.
    """
    async with reading(client) as reader:
        plans, _ = await reader.read(OUTQ_PLAN, 1)
    for plan in plans:
        await delete(client, orjson.loads(plan.payload))
        await delete(client, [plan.sequence])
