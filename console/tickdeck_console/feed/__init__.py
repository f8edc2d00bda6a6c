"""The console's feed."""
