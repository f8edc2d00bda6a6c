use super::*;

pub(crate) const WHOLE: &str = r#"{"schema":"tickdeck.spec/v1","kind":"rx","worker":"X-rx",
 "incarnation":"0a0b0c0d-0102-4304-8506-0708090a0b0c","generation":1,"runtime_dir":"/r",
 "ring_path":"/r/ring","snapshot_dir":"/s","exchange":{"name":"X","protocol":"moldudp64",
 "decoder":"itch50","eobi_release":"14.1","channel":1,"general":{"mlock_all":false},
 "afxdp":{"enable":null,"require":"any","frame_count":64,"rx_ring":64,"huge_pages":false},
 "receive":{"cpu":null,"wait":"block","rcvbuf_bytes":1,"batch":1,"max_packet_bytes":2048,
 "busy_poll_us":0,"busy_poll_budget":64,"timestamps":"hardware_or_kernel"},
 "packet_mmap":{"enable":null,"queues":1,"block_bytes":262144,"block_count":128,"retire_ms":1},
 "lines":[{"name":"A","group":"239.1.1.1","port":1,"interface":"lo","source":null,
 "receive":"recvmmsg"},{"name":"B","group":"239.1.1.2","port":2,"interface":"lo","source":null,
 "receive":"recvmmsg"}],"arbiter":{"reorder_window_ns":1,"reorder_window_min_ns":1,
 "reorder_window_packets":1,"hold_capacity_packets":1,"session_takeover_ms":1},"ring":{"slot_count":8},"recovery":{"replay_protocol":"none",
 "request_address":null,"username":null,"password_file":null,"peer_address":null,
 "min_request_interval_ms":1,"request_timeout_ms":1,"connect_timeout_ms":1,"retry_attempts":1,
 "retry_backoff_ms":1,"retry_backoff_max_ms":1,"slo_ms":1,"unrecoverable_policy":"halt",
 "start_at":"first_seen","storm_gaps":1,"probe_interval_ms":1,"snapshot":{"protocol":"none",
 "address":null,"group":null,"port":null,"interface":null,"source":null,"timeout_ms":1,
 "max_bytes":1}},
 "journal":{"data_dir":"/j","segment_size_bytes":1,"sync_policy":"batch","fsync_interval_ms":1},
 "capture":{"enabled":false,"ring_bytes":1048576,"before_ms":1,"after_ms":1,"cut_on_gap":true,
 "max_files":1,"data_dir":"/c"},
 "book":{"enabled":true,"snapshot_interval_ms":1,"initial_orders":1,
  "checkpoint_messages":0,"check_interval_ms":0,"ticks":[
  {"instrument":"AAPL","tick_size":"0.01","bands":[{"from_price":"1","tick_size":"0.05"}]}]}}}"#;

fn load(text: &str) -> Result<Spec, Failure> {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    fs::write(file.path(), text).expect("write the spec");
    Spec::load(file.path(), Kind::Rx)
}

/// A whole document is read, and the incarnation's bytes come out in order.
#[test]
fn whole_document() {
    let spec = load(WHOLE).expect("a valid spec");
    assert_eq!(spec.exchange.lines[1].name.label(), "B");
    assert_eq!(
        spec.incarnation_bytes().expect("uuid")[..4],
        [0x0a, 0x0b, 0x0c, 0x0d]
    );
}

/// Each receive path has its name.
#[test]
fn receive_paths() {
    let text = WHOLE.replacen("recvmmsg", "packet_mmap", 1);
    let paths = load(&text).expect("a valid spec").exchange.lines;
    assert_eq!(paths[0].receive, ReceivePath::PacketMmap);
    assert_eq!(paths[1].receive, ReceivePath::Recvmmsg);
}

/// Each kind of bad document is refused with exit code 78 and a text that names the culprit.
#[test]
fn bad_documents() {
    for (from, to, culprit) in [
        (
            "\"generation\":1",
            "\"generation\":1,\"colour\":2",
            "colour",
        ),
        ("spec/v1", "spec/v9", "spec/v9"),
        ("\"kind\":\"rx\"", "\"kind\":\"book\"", "Book"),
        ("239.1.1.1", "10.1.1.1", "10.1.1.1"),
        ("\"name\":\"B\"", "\"name\":\"A\"", "lines"),
        ("\"slot_count\":8", "\"slot_count\":9", "slot_count"),
        (
            "\"request_address\":null",
            "\"request_address\":\"1.2.3.4:5\"",
            "request_address",
        ),
        ("\"username\":null", "\"username\":\"u\"", "password_file"),
        (
            "\"protocol\":\"none\"",
            "\"protocol\":\"glimpse\"",
            "snapshot.address",
        ),
        (
            "\"protocol\":\"none\"",
            "\"protocol\":\"eobi\"",
            "lines' protocol",
        ),
        ("\"moldudp64\"", "\"eobi\"", "Itch50"),
        ("\"itch50\"", "\"eobi\"", "Eobi"),
        ("\"itch50\"", "\"cme_mdp3\"", "CmeMdp3"),
        ("\"0.01\"", "0.01", "a string"),
        ("\"0.01\"", "\"0,01\"", "0,01"),
        ("\"0.01\"", "\"-1\"", "more than 0"),
        ("\"from_price\":\"1\"", "\"from_price\":\"1.01\"", "AAPL"),
        ("\"itch50\"", "\"none\"", "book.enabled"),
        ("recvmmsg", "magic", "magic"),
        ("\"max_files\":1", "\"max_file\":1", "max_file"),
        ("\"max_files\":1", "\"max_files\":0", "max_files"),
        ("}}}", "}}", "EOF"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from} is in the document");
        let failure = load(&text).expect_err(to);
        assert_eq!(failure.code, Code::Config);
        assert!(failure.message.contains(culprit), "{}", failure.message);
    }
}

/// An incarnation that is no UUID is refused; a sign is no digit.
#[test]
fn incarnation_must_be_a_uuid() {
    for text in ["0a0b", "+a0b0c0d-0102-4304-8506-0708090a0b0c", "x"] {
        let whole = "0a0b0c0d-0102-4304-8506-0708090a0b0c";
        let spec = load(&WHOLE.replacen(whole, text, 1)).expect("the rest is valid");
        let failure = spec.incarnation_bytes().expect_err(text);
        assert_eq!(failure.code, Code::Config);
        assert!(failure.message.contains(text), "{failure}");
    }
}
