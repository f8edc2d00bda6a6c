"""The daemon: supervises the workers and serves gRPC."""
