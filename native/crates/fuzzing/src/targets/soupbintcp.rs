//! A SoupBinTCP stream: the same packets however it is cut, and each survives its encoding.

use tickdeck_wire::soupbintcp::{
    self, CLIENT_HEARTBEAT, ClientPacket, Decoder, END_OF_SESSION, Frame, LENGTH_LEN, LOGOUT,
    SERVER_HEARTBEAT, ServerPacket, SoupError, same_session,
};

/// Longest packet that the decoder takes here.
const MOST: usize = 300;

/// Type and payload of each packet, and why the stream ended early.
type Decoded = (Vec<(u8, Vec<u8>)>, Option<SoupError>);

/// The first byte says how the rest is cut.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&cut, stream)) = bytes.split_first() else {
        return;
    };
    let whole = decode(stream, usize::MAX);
    assert_eq!(whole, decode(stream, usize::from(cut).max(1)));
    let used: usize = whole.0.iter().map(|(_, payload)| 3 + payload.len()).sum();
    assert!(used <= stream.len());
    for (kind, payload) in &whole.0 {
        check(Frame {
            kind: *kind,
            payload,
        });
    }
    if let Some(error) = whole.1 {
        assert!(!error.reason().is_empty() && !error.to_string().is_empty());
    }
}

fn decode(stream: &[u8], cut: usize) -> Decoded {
    let mut decoder = Decoder::new(MOST);
    let mut packets = Vec::new();
    for chunk in stream.chunks(cut.min(stream.len().max(1))) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = decoder.push(rest);
            rest = &rest[taken..];
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => packets.push((frame.kind, frame.payload.to_vec())),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.next().err(), Some(error), "an error stays");
                        return (packets, Some(error));
                    }
                }
            }
            assert!(taken > 0, "a decoder that was emptied takes bytes");
        }
    }
    (packets, None)
}

fn check(frame: Frame<'_>) {
    if let Ok(packet) = ServerPacket::parse(frame) {
        let again = from_server(&packet);
        let again = ServerPacket::parse(frame_of(&again)).expect("a written packet");
        match (packet, again) {
            (
                ServerPacket::Accepted { session, sequence },
                ServerPacket::Accepted {
                    session: again,
                    sequence: same,
                },
            ) => assert!(same_session(session, again) && sequence == same),
            (packet, again) => assert_eq!(packet, again),
        }
    }
    if let Ok(packet) = ClientPacket::parse(frame) {
        let again = from_client(&packet);
        let again = ClientPacket::parse(frame_of(&again)).expect("a written packet");
        assert_eq!(packet, again);
        assert!(!format!("{packet:?}").is_empty());
    }
}

fn from_server(packet: &ServerPacket<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let fits = "a payload that was read";
    match *packet {
        ServerPacket::Accepted { session, sequence } => {
            out.extend_from_slice(&soupbintcp::accepted(session, sequence));
        }
        ServerPacket::Rejected(reason) => out.extend_from_slice(&soupbintcp::rejected(reason)),
        ServerPacket::Sequenced(message) => {
            soupbintcp::push_sequenced(&mut out, message).expect(fits);
        }
        ServerPacket::Unsequenced(message) => {
            soupbintcp::push_unsequenced(&mut out, message).expect(fits);
        }
        ServerPacket::Heartbeat => out.extend_from_slice(&SERVER_HEARTBEAT),
        ServerPacket::EndOfSession => out.extend_from_slice(&END_OF_SESSION),
        ServerPacket::Debug(text) => soupbintcp::push_debug(&mut out, text).expect(fits),
    }
    out
}

fn from_client(packet: &ClientPacket<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let fits = "a payload that was read";
    match packet {
        ClientPacket::Login(login) => out.extend_from_slice(&login.encode()),
        ClientPacket::Unsequenced(message) => {
            soupbintcp::push_unsequenced(&mut out, message).expect(fits);
        }
        ClientPacket::Heartbeat => out.extend_from_slice(&CLIENT_HEARTBEAT),
        ClientPacket::Logout => out.extend_from_slice(&LOGOUT),
        ClientPacket::Debug(text) => soupbintcp::push_debug(&mut out, text).expect(fits),
    }
    out
}

/// The one packet of these bytes, whose length must be right.
fn frame_of(bytes: &[u8]) -> Frame<'_> {
    let length = usize::from(bytes[0]) * 256 + usize::from(bytes[1]);
    assert_eq!(LENGTH_LEN + length, bytes.len());
    Frame {
        kind: bytes[LENGTH_LEN],
        payload: &bytes[LENGTH_LEN + 1..],
    }
}
