//! `len_seq_payload` streams of both directions: what was decoded encodes to the bytes it came from.

use tickdeck_wire::replay::{FrameDecoder, FrameError, REQUEST_LEN, Request, RequestDecoder};

/// The first byte says how the rest is cut.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&cut, stream)) = bytes.split_first() else {
        return;
    };
    requests(stream);
    let whole = frames(stream, usize::MAX);
    assert!(stream.starts_with(&whole.0), "a frame has one encoding");
    assert_eq!(whole, frames(stream, usize::from(cut).max(1)));
}

/// All frames encoded again, and why the stream ended early.
fn frames(stream: &[u8], cut: usize) -> (Vec<u8>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new();
    let mut again = Vec::new();
    for chunk in stream.chunks(cut.min(stream.len().max(1))) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = decoder.push(rest);
            rest = &rest[taken..];
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => frame.encode(&mut again),
                    Ok(None) => break,
                    Err(error) => {
                        assert!(!error.reason().is_empty());
                        return (again, Some(error));
                    }
                }
            }
            assert!(taken > 0, "a decoder that was emptied takes bytes");
        }
    }
    (again, None)
}

fn requests(stream: &[u8]) {
    let mut decoder = RequestDecoder::new();
    let mut rest = stream;
    for bytes in stream.chunks_exact(REQUEST_LEN) {
        let taken = decoder.push(rest);
        rest = &rest[taken..];
        let expected = Request::parse(bytes.try_into().expect("a chunk of that size"));
        let request = match decoder.next() {
            Ok(request) => request.expect("enough bytes for a request"),
            Err(error) => {
                assert_eq!(Err(error), expected);
                return;
            }
        };
        assert_eq!(Ok(request), expected);
        assert_eq!(request.encode(), bytes);
        let size = request.end_sequence() - request.first_sequence;
        assert_eq!(size, u64::from(request.count));
    }
}
