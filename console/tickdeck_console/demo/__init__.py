"""A private plant on the loopback interface: simulator, daemon and workers."""
