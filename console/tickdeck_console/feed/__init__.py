"""Where frames come from: the live daemon, or a fake plant made from a seed."""
