"""Screens and dialogs; each in a file of its own."""
