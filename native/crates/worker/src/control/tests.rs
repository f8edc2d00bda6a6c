use std::io::{BufRead, BufReader};

use super::*;

struct Fixture {
    server: ControlServer,
    directory: tempfile::TempDir,
}

fn serve() -> Fixture {
    let directory = tempfile::tempdir().expect("temporary directory");
    let hello = Hello {
        worker: "w",
        incarnation: "i",
        ops: &["count", "fail"],
    };
    let (mut count, mut reads) = (0, 0);
    let server = ControlServer::serve(&directory.path().join("s"), hello, move |call| {
        match call.op {
            "count" => {
                count += call.u64("by")?.unwrap_or(1);
                Ok(json!({"count": count}))
            }
            "fail" => Err(ControlError::new("WRONG_STATE", "not now")),
            "patience" => Ok(json!({"deadline_ms": call.deadline_ms})),
            "read" => {
                reads += 1;
                Ok(json!({"reads": reads, "levels": "x".repeat(20_000)}))
            }
            other => Err(ControlError::unknown_op(other)),
        }
    })
    .expect("serve");
    Fixture { server, directory }
}

fn connect(fixture: &Fixture) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(fixture.directory.path().join("s")).expect("connect");
    let mut reader = BufReader::new(stream);
    let mut hello = String::new();
    reader.read_line(&mut hello).expect("hello");
    assert!(hello.contains("\"ops\":[\"count\",\"fail\"]"), "{hello}");
    reader
}

fn ask(reader: &mut BufReader<UnixStream>, line: &str) -> Value {
    reader.get_mut().write_all(line.as_bytes()).expect("write");
    let mut answer = String::new();
    reader.read_line(&mut answer).expect("answer");
    serde_json::from_str(&answer).expect("JSON")
}

/// Answers carry the id and the result; a repeated id is not executed again.
#[test]
fn answers_once_per_id() {
    let fixture = serve();
    let mut reader = connect(&fixture);
    let first = ask(
        &mut reader,
        "{\"id\":\"1\",\"op\":\"count\",\"args\":{\"by\":5}}\n",
    );
    assert_eq!(first["result"]["count"], 5);
    assert_eq!(first["generation"], 1);
    let again = ask(
        &mut reader,
        "{\"id\":\"1\",\"op\":\"count\",\"args\":{\"by\":5}}\n",
    );
    assert_eq!(again, first);
    let second = ask(&mut reader, "{\"id\":\"2\",\"op\":\"count\"}\n");
    assert_eq!(second["result"]["count"], 6);
}

/// A long answer is what an op has read, not what it has done: it is not kept for repetitions, so
/// that a caller who reads books all day costs no memory.
#[test]
fn long_answers_are_not_kept() {
    let fixture = serve();
    let mut reader = connect(&fixture);
    let line = "{\"id\":\"1\",\"op\":\"read\"}\n";
    assert_eq!(ask(&mut reader, line)["result"]["reads"], 1);
    assert_eq!(ask(&mut reader, line)["result"]["reads"], 2);
}

/// Whatever a caller says, no call holds the socket for longer than a minute.
#[test]
fn patience_is_bounded() {
    let fixture = serve();
    let mut reader = connect(&fixture);
    let mut ask_with = |id: u64, deadline_ms: u64| {
        let line = json!({"id": id.to_string(), "op": "patience", "deadline_ms": deadline_ms});
        ask(&mut reader, &format!("{line}\n"))["result"]["deadline_ms"].clone()
    };
    assert_eq!(ask_with(1, 2_500), 2_500);
    assert_eq!(ask_with(2, u64::MAX), 60_000);
}

/// Refusals name a code; the connection stays usable.
#[test]
fn refuses_with_a_code() {
    let fixture = serve();
    let mut reader = connect(&fixture);
    assert_eq!(
        ask(&mut reader, "{\"id\":\"1\",\"op\":\"fail\"}\n")["error"]["code"],
        "WRONG_STATE"
    );
    assert_eq!(
        ask(&mut reader, "{\"id\":\"2\",\"op\":\"x\"}\n")["error"]["code"],
        "UNKNOWN_OP"
    );
    let bad = ask(
        &mut reader,
        "{\"id\":\"3\",\"op\":\"count\",\"args\":{\"by\":\"x\"}}\n",
    );
    assert_eq!(bad["error"]["code"], "INVALID_ARGS");
    assert_eq!(
        ask(&mut reader, "{\"id\":\"4\",\"op\":\"count\"}\n")["ok"],
        true
    );
}

/// A line that is no request, or too long, closes that connection and no other.
#[test]
fn closes_on_garbage() {
    let fixture = serve();
    let mut bystander = connect(&fixture);
    for garbage in [
        "nonsense\n".to_owned(),
        "{\"id\":1}\n".to_owned(),
        "x".repeat(70_000),
    ] {
        let mut reader = connect(&fixture);
        reader
            .get_mut()
            .write_all(garbage.as_bytes())
            .expect("write");
        let mut rest = String::new();
        // A reset is as good as an end: the worker closed with bytes unread.
        let closed = reader
            .read_line(&mut rest)
            .map_or(true, |length| length == 0);
        assert!(closed, "{rest}");
    }
    assert_eq!(
        ask(&mut bystander, "{\"id\":\"1\",\"op\":\"count\"}\n")["ok"],
        true
    );
}

/// Dropping the server removes the socket and ends its thread.
#[test]
fn drop_removes_the_socket() {
    let Fixture { server, directory } = serve();
    let path = directory.path().join("s");
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
}
