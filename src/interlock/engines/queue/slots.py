"""How many runs continue at once in a worker."""

import asyncio


class Slots:
    """One slot for each run that may continue at once.

    A slot is free as soon as its run has ended, while the end is still being recorded: so the next run is claimed meanwhile, and the
    processor does not wait for the database in between.

    Args:
        number: How many.
    """

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)
        self._stopped = asyncio.Event()

    async def take(self) -> bool:
        """Wait for a free slot; False if the worker stops meanwhile."""
        if self._stopped.is_set():
            return False
        if not self._free.locked():
            return await self._free.acquire()
        taken, stopped = asyncio.ensure_future(self._free.acquire()), asyncio.ensure_future(self._stopped.wait())
        kept = False
        try:
            await asyncio.wait({taken, stopped}, return_when=asyncio.FIRST_COMPLETED)
            kept = taken.done() and not self._stopped.is_set()
        finally:
            stopped.cancel()
            if not kept and not taken.cancel():  # it was taken in the same moment
                self._free.release()
        return kept

    def free(self) -> None:
        """Give a slot back."""
        self._free.release()

    def stop(self) -> None:
        """Let nobody take a slot any more."""
        self._stopped.set()


__all__ = ["Slots"]
