"""A daemon of nothing but a supervisor, to be killed: `fake_daemon.py ROOT EXCHANGE...`.

Says "adopted N" once started, then "running" when every exchange has settled, and stays.
"""

import asyncio
import sys
from pathlib import Path

import structlog

from fake_plant import Plant

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


async def main() -> None:
    plant = Plant(Path(sys.argv[1]))
    supervisor = plant.supervisor()
    records = [plant.record(name, port=31001 + n) for n, name in enumerate(sys.argv[2:])]
    result = await supervisor.start(records)
    print(f"adopted {len(result.adopted)}", flush=True)
    for name in sys.argv[2:]:
        await supervisor.settled(name)
    print("running", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
