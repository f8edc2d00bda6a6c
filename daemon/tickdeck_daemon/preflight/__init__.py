"""What this host can do for an exchange file: facts read, rules judged, nothing changed."""
