"""One module per proto service; translation only."""
