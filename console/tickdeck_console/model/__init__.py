"""The console's model."""
