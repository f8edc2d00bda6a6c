"""How many starts the host takes: a crash of many workers must not become a storm of starts."""

SECOND = 1_000_000_000


class SpawnBudget:
    """A token bucket; time is an argument."""

    def __init__(self, *, per_second: int = 10, burst: int = 10) -> None:
        """Begin with a full bucket."""
        self._interval_ns = SECOND // per_second
        self._span_ns = self._interval_ns * burst
        self._free_ns = 0
        """Time at which the bucket would be full again."""

    def take(self, now_ns: int) -> bool:
        """Take one start; False when there is none left now."""
        if self.wait_ns(now_ns) > 0:
            return False
        self._free_ns = max(self._free_ns, now_ns) + self._interval_ns
        return True

    def wait_ns(self, now_ns: int) -> int:
        """How long until the next start may be taken; 0 when at once."""
        return max(0, self._free_ns + self._interval_ns - self._span_ns - now_ns)
