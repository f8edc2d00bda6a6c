"""What a demo run is asked for."""

from dataclasses import dataclass
from pathlib import Path

EXCHANGE = "DEMO"
"""Name of the one exchange of a demo."""

KNOWN_INPUT = Path("../shared/data/itch50/es_mbo.itch.gz")
"""Real order flow that a checkout may have beside it; a generated day is played without it."""


@dataclass(frozen=True)
class DemoOptions:
    """The run; probabilities are per packet, ranges are in messages."""

    input: Path | None
    """ITCH 5.0 BinaryFILE, plain or gzip; a generated day when absent."""
    generated_messages: int
    """Length of the generated day."""
    instruments: int
    """Instruments of the generated day."""
    loss_a: float
    loss_b: float
    gap: int
    """Messages lost on both lines at once, in the middle of the run; 0 for none."""
    rate: int
    """Messages per second; 0 for as fast as possible."""
    seed: int
    kill_book: bool
    """Kill the book worker (-9) half way."""
    kill_daemon: bool
    """Kill the daemon (-9) half way and start it again."""
    kill_rx: bool
    """Kill the receive worker (-9) half way."""
    kill_export: bool
    """Kill the exporter (-9) half way."""
    keep: bool
    """Leave the run's folders behind."""

    @property
    def input_name(self) -> str:
        """The input in words, for the report."""
        if self.input is not None:
            return str(self.input)
        return f"generated day, seed {self.seed}"
