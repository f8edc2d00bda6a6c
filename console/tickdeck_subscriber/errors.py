"""What can go wrong for good, and what only ends a connection."""


class SubscriberError(Exception):
    """A matter for people: another try would give the same."""


class DeniedError(SubscriberError):
    """The exporter does not let us in, or did not prove who it is."""


class WrongLogError(SubscriberError):
    """The exporter serves another log than the one our position is of."""


class MissingDecoderError(SubscriberError):
    """A compressed block came without its decoder: ``pip install tickdeck[subscriber]``."""


class StreamError(Exception):
    """Bytes or messages that the protocol does not allow: the connection is made anew."""
