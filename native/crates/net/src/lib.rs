//! Sockets: multicast receive and send.
