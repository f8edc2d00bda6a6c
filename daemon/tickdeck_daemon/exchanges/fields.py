"""What the keys of an exchange file are made of: checked texts and numbers, and tables."""

import ipaddress
import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
"""A price as a file writes it: exact, up to nine digits on either side of the point."""
INSTRUMENT_NAME_LENGTH_MAX = 24
"""What a book keeps of a name, in bytes."""
TICKS_MAX = 65_536
"""Instruments with a tick, in all."""
UNIX_PATH_BYTES_MAX = 107
"""Longest path that a Unix socket can have."""
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def target_word(group: str, port: int) -> str:
    """Group and port in one word; an IPv6 group stands in brackets."""
    return f"[{group}]:{port}" if ":" in group else f"{group}:{port}"


def _refuse(text: str) -> PydanticCustomError:
    """An error of ours; braces are doubled because pydantic formats the text."""
    return PydanticCustomError("tickdeck", "{text}", {"text": text})


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise _refuse(f'"{text}" is no IP address') from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise _refuse(f'"{text}" names a zone; the interface is a key of its own')
    return address


def _multicast(text: str) -> str:
    address = _address(text)
    # Not `is_multicast` alone: that also takes IPv4 groups in the clothes of IPv6.
    if not address.is_multicast or (address.version == 6 and address.packed[0] != 0xFF):
        places = "224.0.0.0 to 239.255.255.255 or in ff00::/8"
        raise _refuse(f"{text} is no multicast group; one lies in {places}")
    return str(address)


def _source(text: str) -> str:
    address = _address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return _unicast(text)
    if address.is_multicast or address.is_unspecified or address.ipv4_mapped is not None:
        raise _refuse(f"{text} is no address of one host")
    return str(address)


def _unicast(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError as error:
        raise _refuse(f'"{text}" is no IPv4 address') from error
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise _refuse(f"{text} is no address of one host")
    return str(address)


def _host_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _refuse(f'"{text}" has no port; write "address:port"')
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise _refuse(f'"{text}" has no port from 1 to 65535')
    return f"{_unicast(host)}:{int(port)}"


def power_of_two(value: int) -> int:
    """The value, which must be a power of two."""
    if value & (value - 1):
        raise _refuse(f"{value} is no power of two; the next one is {1 << value.bit_length()}")
    return value


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise _refuse(f'"{text}" is no absolute path')
    if "\0" in text:
        raise _refuse("a path cannot hold a NUL character")
    return text


def _username(text: str) -> str:
    # The field of a SoupBinTCP login has six bytes, padded with spaces.
    if not (1 <= len(text) <= 6 and text.isascii() and text.isalnum()):
        raise _refuse(f'"{text}" is no user name; one has 1 to 6 letters and digits')
    return text


def plain_decimal(text: str) -> str:
    """A price in its one spelling: no zeros that say nothing.

    Raises:
        PydanticCustomError: it is no decimal number.
    """
    if not DECIMAL.fullmatch(text):
        raise _refuse(f'"{text}" is no decimal number; write one as "0.01", without an exponent')
    whole, _, fraction = text.removeprefix("-").partition(".")
    sign = "-" if text.startswith("-") else ""
    fraction = fraction.rstrip("0")
    return f"{sign}{whole.lstrip('0') or '0'}{'.' if fraction else ''}{fraction}"


@lru_cache(maxsize=4096)
def plain_tick_size(text: str) -> str:
    """As `plain_decimal`, and more than 0."""
    plain = plain_decimal(text)
    if plain.startswith("-") or not plain.strip("0."):
        raise _refuse(f"{text} is no tick size; one is more than 0")
    return plain


def is_instrument_name(text: str) -> bool:
    """Whether a venue could name an instrument so."""
    within = 1 <= len(text) <= INSTRUMENT_NAME_LENGTH_MAX
    return within and text.isascii() and text.isprintable() and text == text.strip()


def _instrument(text: str) -> str:
    if not is_instrument_name(text):
        most = INSTRUMENT_NAME_LENGTH_MAX
        raise _refuse(f'"{text}" names no instrument; a name has 1 to {most} letters and digits')
    return text


def _endpoint(text: str) -> str:
    if text.startswith("unix:"):
        path = _absolute(text.removeprefix("unix:"))
        if len(path.encode()) > UNIX_PATH_BYTES_MAX:
            raise _refuse(f'"{path}" is longer than {UNIX_PATH_BYTES_MAX} bytes')
        return f"unix:{path}"
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    in_brackets = bare is not host
    if not bare or (":" in bare) != in_brackets or not _is_host(bare):
        raise _refuse(f'"{text}" is no address; write "host:port", "[v6]:port" or "unix:/path"')
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise _refuse(f'"{text}" has no port from 0 to 65535')
    return f"{host}:{int(port)}"


def is_endpoint(text: str) -> bool:
    """Whether this is an address of an exporter or a collector."""
    try:
        _endpoint(text)
    except PydanticCustomError:
        return False
    return True


def _is_host(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        # A name; digits and points alone are a mistyped address.
        return _HOST_NAME.fullmatch(text) is not None and not text.replace(".", "").isdigit()
    return not address.is_multicast and getattr(address, "scope_id", None) is None


def _client_id(text: str) -> str:
    # Part of a file's name, and shown on screens: nothing else.
    if not _CLIENT_ID.fullmatch(text):
        rule = 'has 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-", and begins with a letter or digit'
        raise _refuse(f'"{text}" is no id of a subscriber; one {rule}')
    return text


Price = Annotated[str, AfterValidator(plain_decimal)]
TickSize = Annotated[str, AfterValidator(plain_tick_size)]
InstrumentName = Annotated[str, AfterValidator(_instrument)]
Multicast = Annotated[str, AfterValidator(_multicast)]
Source = Annotated[str, AfterValidator(_source)]
HostPort = Annotated[str, AfterValidator(_host_port)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Interface = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Username = Annotated[str, AfterValidator(_username)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
ClientId = Annotated[str, AfterValidator(_client_id)]
CertificateName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class Table(BaseModel):
    """A table of the file: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )
