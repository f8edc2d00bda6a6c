"""The commands of the command line, one module each; `cli` has their table."""
