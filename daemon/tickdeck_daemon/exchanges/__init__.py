"""The exchanges that are wanted: their files, checked and kept."""
