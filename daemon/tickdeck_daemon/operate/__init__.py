"""What an operator may have done: commands, operations, replays, verifications."""
