"""Carrying out what was granted meanwhile of the proposals from outside the graph: each once, side by side, by as many ticks as there are."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

from ..commands.proposals.granted import CarriedOut, granted, take_up
from ..commands.running.driver import arun, run
from ..commands.running.engine import Engine

SIDE_BY_SIDE = 4
"""How many are carried out at a time: a slow one does not hold up those behind it."""


def carry_out_granted(engine: Engine) -> CarriedOut:
    """Carry out what is granted and waits."""
    done, after = CarriedOut(), None
    while found := run(engine.store, granted(engine, after)):
        after = found[-1]
        if len(found) == 1:
            run(engine.store, take_up(engine, after[1], done))
            continue
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="interlock-granted") as pool:
            began = [
                pool.submit(contextvars.copy_context().run, run, engine.store, take_up(engine, proposal_id, done))
                for _, proposal_id in found
            ]
            for one in began:
                one.result()
    return done


async def acarry_out_granted(engine: Engine) -> CarriedOut:
    """As `carry_out_granted`."""
    done, after = CarriedOut(), None
    free = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(proposal_id: str) -> None:
        async with free:
            await arun(engine.store, take_up(engine, proposal_id, done))

    while found := await arun(engine.store, granted(engine, after)):
        after = found[-1]
        await asyncio.gather(*(one(proposal_id) for _, proposal_id in found))
    return done


__all__ = ["acarry_out_granted", "carry_out_granted"]
