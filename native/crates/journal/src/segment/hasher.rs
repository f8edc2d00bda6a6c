//! SHA-256 of a segment, beside the thread that writes it.
//!
//! The hash costs as much as writing to the page cache, so it is made by a thread of its own. What
//! was written is copied into chunks, and a chunk goes to that thread when it is full: a small block
//! costs a copy and no wake-up. Chunks come back; when all are on their way the writer waits for
//! one, which only computing can delay. A segment shorter than a chunk never starts a thread, and
//! where none can be started the writer hashes itself.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

/// The hash of everything given to it so far.
pub(super) struct Hasher {
    /// Given and not yet hashed, nor on its way.
    chunk: Vec<u8>,
    place: Place,
}

/// Where hashing is done.
enum Place {
    /// By the caller, so far.
    Here(Sha256),
    Beside(Beside),
}

/// The thread, and the chunks on their way there and back.
struct Beside {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self {
            chunk: Vec::new(),
            place: Place::Here(Sha256::new()),
        }
    }

    /// Adds bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while self.chunk.len() + bytes.len() >= CHUNK {
            let (head, rest) = bytes.split_at(CHUNK - self.chunk.len());
            self.chunk.extend_from_slice(head);
            self.hand_over();
            bytes = rest;
        }
        self.chunk.extend_from_slice(bytes);
    }

    /// The hash; whoever adds more goes on in the calling thread.
    pub(super) fn finish(&mut self) -> [u8; 32] {
        let place = std::mem::replace(&mut self.place, Place::Here(Sha256::new()));
        let mut sha = match place {
            Place::Here(sha) => sha,
            Place::Beside(beside) => beside.join(),
        };
        sha.update(&self.chunk);
        self.chunk.clear();
        let hash = sha.clone().finalize().into();
        self.place = Place::Here(sha);
        hash
    }

    /// Sends a full chunk on, and takes an empty one.
    fn hand_over(&mut self) {
        if let Place::Here(sha) = &mut self.place {
            match Beside::start(sha.clone()) {
                Some(beside) => self.place = Place::Beside(beside),
                None => {
                    sha.update(&self.chunk);
                    self.chunk.clear();
                    return;
                }
            }
        }
        if let Place::Beside(beside) = &mut self.place {
            let empty = beside.empty_chunk();
            let full = std::mem::replace(&mut self.chunk, empty);
            beside
                .full
                .send(full)
                .expect("the thread takes chunks to the end");
        }
    }
}

impl Beside {
    /// Goes on with a hash in a thread; `None` when the system starts none.
    fn start(mut sha: Sha256) -> Option<Self> {
        // Neither end ever waits for room: no more chunks exist.
        let (full, chunks) = sync_channel::<Vec<u8>>(CHUNKS + 1);
        let (back, empty) = sync_channel(CHUNKS + 1);
        for _ in 0..CHUNKS {
            back.send(Vec::with_capacity(CHUNK)).ok()?;
        }
        let body = move || {
            while let Ok(mut chunk) = chunks.recv() {
                sha.update(&chunk);
                chunk.clear();
                // The caller has ended when it takes none back; what it sent before is hashed.
                if back.send(chunk).is_err() {
                    continue;
                }
            }
            sha
        };
        let thread = thread::Builder::new().name("journal-hash".to_owned());
        Some(Self {
            full,
            empty,
            thread: thread.spawn(body).ok()?,
        })
    }

    /// A chunk that came back.
    fn empty_chunk(&self) -> Vec<u8> {
        self.empty
            .recv()
            .expect("the thread gives chunks back to the end")
    }

    /// Waits until everything sent is hashed.
    fn join(self) -> Sha256 {
        drop(self.full);
        self.thread.join().expect("hashing does not panic")
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("waiting", &self.chunk.len())
            .field("beside", &matches!(self.place, Place::Beside(_)))
            .finish()
    }
}

const CHUNK: usize = 128 * 1024;
/// On their way at most: 2 MiB, a few milliseconds of work.
const CHUNKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// Whatever the pieces, the hash is that of all bytes in order, also when it goes on behind a
    /// first answer.
    #[test]
    fn pieces_do_not_matter() {
        let bytes: Vec<u8> = (0..CHUNKS * CHUNK * 2 + 777)
            .map(|at| (at * 31 / 7) as u8)
            .collect();
        for piece in [1_000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, bytes.len()] {
            let mut hasher = Hasher::new();
            bytes.chunks(piece).for_each(|it| hasher.update(it));
            assert!(matches!(hasher.place, Place::Beside(_)), "{piece}");
            assert_eq!(hasher.finish(), plain(&bytes), "pieces of {piece}");
            hasher.update(b"more");
            let all = [&bytes[..], b"more"].concat();
            assert_eq!(hasher.finish(), plain(&all), "pieces of {piece}");
        }
        assert_eq!(Hasher::new().finish(), plain(b""));
    }

    /// Less than a chunk starts no thread, and a hasher that is dropped leaves none behind.
    #[test]
    fn small_segments_are_hashed_here() {
        let mut hasher = Hasher::new();
        hasher.update(&[7; CHUNK - 1]);
        assert!(matches!(hasher.place, Place::Here(_)));
        assert_eq!(hasher.finish(), plain(&[7; CHUNK - 1]));
        let mut hasher = Hasher::new();
        hasher.update(&[7; CHUNK]);
        let Place::Beside(beside) = hasher.place else {
            panic!("a full chunk goes to the thread");
        };
        beside.join();
    }
}
