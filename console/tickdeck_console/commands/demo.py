"""`tickdeck demo`: a whole plant on the loopback interface, from multicast to the console."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from tickdeck_console.demo.options import KNOWN_INPUT, DemoOptions

Result = TypeVar("Result")
PROBABILITY = click.FloatRange(0, 1)


@click.command()
@click.option("--headless", is_flag=True, help="No console: run to the end, print JSON.")
@click.option(
    "--input",
    "input_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ITCH 5.0 BinaryFILE, plain or gzip [default: real order flow when the checkout has it "
    "beside it, else a generated day].",
)
@click.option("--generate", is_flag=True, help="Play a generated day in any case.")
@click.option("--messages", default=100_000, show_default=True, help="Length of a generated day.")
@click.option("--instruments", default=8, show_default=True, help="Of a generated day.")
@click.option("--loss-a", type=PROBABILITY, default=0.01, show_default=True, help="Loss on line A.")
@click.option("--loss-b", type=PROBABILITY, default=0.01, show_default=True, help="Loss on line B.")
@click.option(
    "--gap",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Messages lost on both lines at once, a third into the run.",
)
@click.option(
    "--rate",
    type=click.IntRange(0),
    help="Messages a second, 0 for as fast as possible [default: 20000, with the console 2000].",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Of the faults and of a generated day.",
)
@click.option("--kill-book", is_flag=True, help="Kill the book worker (-9) half way.")
@click.option("--kill-daemon", is_flag=True, help="Kill the daemon (-9) half way, start it again.")
@click.option("--kill-rx", is_flag=True, help="Kill the receive worker (-9) half way.")
@click.option("--kill-export", is_flag=True, help="Kill the exporter (-9) half way.")
@click.option("--keep", is_flag=True, help="Leave journal, logs and stats files behind.")
def demo(
    headless: bool,
    input_path: Path | None,
    generate: bool,
    messages: int,
    instruments: int,
    loss_a: float,
    loss_b: float,
    gap: int,
    rate: int | None,
    seed: int,
    kill_book: bool,
    kill_daemon: bool,
    kill_rx: bool,
    kill_export: bool,
    keep: bool,
) -> None:
    """Start an exchange, a daemon and its workers in a private folder, and watch them.

    Ends cleanly on quit. Without a terminal, or with --headless, it prints progress and, as the
    last line, one JSON object with the books, the arbiter's counters, the journal, what a reader at
    the exporter was given, and latencies; the exit status is 0 only when nothing was lost for good,
    the journal is whole, and the reader has all of it, each record once.
    """
    if input_path is not None and generate:
        raise click.UsageError("--input and --generate exclude each other")
    headless = headless or not (sys.stdin.isatty() and sys.stdout.isatty())
    if input_path is None and not generate and KNOWN_INPUT.is_file():
        input_path = KNOWN_INPUT
    default_rate = 20_000 if headless else 2_000
    options = DemoOptions(
        input=input_path,
        generated_messages=messages,
        instruments=instruments,
        loss_a=loss_a,
        loss_b=loss_b,
        gap=gap,
        rate=default_rate if rate is None else rate,
        seed=seed,
        kill_book=kill_book,
        kill_daemon=kill_daemon,
        kill_rx=kill_rx,
        kill_export=kill_export,
        keep=keep,
    )
    if headless:
        from tickdeck_console.demo.headless import is_good, print_report, run_headless

        report = _run(run_headless(options, click.echo))
        print_report(report)
        sys.exit(0 if is_good(report) else 1)
    else:
        from tickdeck_console.demo.interactive import run_interactive

        _run(run_interactive(options))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end; SIGTERM and SIGHUP end it as Ctrl-C does, with everything cleaned up."""

    async def cancellable() -> Result:
        task = asyncio.current_task()
        assert task is not None, "inside asyncio.run"
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise click.Abort from None
