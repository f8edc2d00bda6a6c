"""The example in the README runs as it stands there."""

import asyncio
import re
import sys
from pathlib import Path

from fake_exporter import FakeExporter, data, gap, record

ROOT = Path(__file__).parents[3]


async def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    frames = {3: data(1, [record(b"one"), record(b"three", kind=5)]), 6: gap(3, 5, 2)}
    async with FakeExporter(tmp_path / "socket", frames) as exporter:
        endpoint = "unix:/run/tickdeck/XNAS-export.sock"
        assert endpoint in example
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", example.replace(endpoint, exporter.endpoint)),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(120):
            lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        process.kill()
        await process.wait()
    assert lines == ["1 data 3\n", "2 session 5\n", "3 to 5 will not come: policy\n"]
