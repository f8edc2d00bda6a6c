"""The console and the `tickdeck` command."""
