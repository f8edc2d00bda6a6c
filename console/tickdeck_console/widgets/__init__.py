"""Widgets: small, given values, answering with messages."""
