"""Take a journal over the export protocol, for scripts: every record once, in order, none missing.

    from tickdeck_subscriber import Gap, Record, Subscriber

    async with Subscriber("unix:/run/tickdeck/XNAS-export.sock", state="xnas.json") as subscriber:
        async for item in subscriber:
            match item:
                case Record():
                    print(item.seq, item.kind, item.payload)
                case Gap():
                    print("will not come:", item.first, "to", item.last, item.reason)

What holds:

* **Once, in order.** Sequences rise without a hole. What does not come is a ``Gap``; what has to be
  taken back after a power cut at the source is a ``Forked`` (only under ``guarantee="written"``).
* **Nothing is acknowledged that you do not have.** An item counts as handled when the next one is
  asked for. Each second, and each MiB, the position of what was handled is made durable in
  ``state`` and then acknowledged; a script that is killed goes on there. ``commit="manual"`` leaves
  that to ``commit()``, after your own store.
* **Connections come back** by themselves, with full jitter between 0.1 and 10 s, and one run is
  never given an item twice.
* **Both sides are proved.** Over TLS (``tls_ca``) the exporter's certificate is verified before
  anything is said; with a key (``key_file``, mode 0600, a line ``client key``) both sides prove
  that they have it, bound to the TLS session. Clear text goes to this host only.

Only the standard library is needed. Compressed blocks need the extra ``tickdeck[subscriber]``; it
brings a faster checksum too. The position file is the one of ``tickdeck-journal subscribe``.
"""

from tickdeck_subscriber.blocks import Record
from tickdeck_subscriber.client import Subscriber
from tickdeck_subscriber.errors import (
    DeniedError,
    MissingDecoderError,
    StreamError,
    SubscriberError,
    WrongLogError,
)
from tickdeck_subscriber.flow import Forked, Gap, Item

__all__ = [
    "DeniedError",
    "Forked",
    "Gap",
    "Item",
    "MissingDecoderError",
    "Record",
    "StreamError",
    "Subscriber",
    "SubscriberError",
    "WrongLogError",
]
