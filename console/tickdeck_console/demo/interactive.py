"""A demo with the console."""

import asyncio
import contextlib

from tickdeck_console.demo.options import DemoOptions
from tickdeck_console.demo.plant import DemoPlant


async def run_interactive(options: DemoOptions) -> None:
    """Start the plant, open the console on it, and end both when the console is quit."""
    # Textual costs 120 ms to import; the headless run does without it.
    from tickdeck_console.app import TickdeckApp

    async with DemoPlant(options) as plant:
        # The first packets leave when the console is open.
        start = asyncio.get_running_loop().create_task(_play_soon(plant))
        await TickdeckApp(plant.target).run_async()
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start


async def _play_soon(plant: DemoPlant) -> None:
    await asyncio.sleep(1)
    await plant.play()
