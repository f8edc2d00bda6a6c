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
 "journal":{"data_dir":"/j","segment_size_bytes":1,"segment_max_age_ms":0,"sync_policy":"batch",
 "fsync_interval_ms":1,"compress_wal":false,"codec":"zstd","recovery_mode":"tail",
 "on_failure":"degrade","retain_max_bytes":0,"retain_max_age_s":0},
 "tcp_export":{"enabled":true,"mode":"listen","addr":"127.0.0.1:0","collectors":[],
 "auth_token":"/k","tls_cert":null,"tls_key":null,"tls_client_ca":null,"tls_revoked":[],
 "connect_timeout_ms":1,"write_timeout_ms":1,"reconnect_backoff_ms":1,"max_subscribers":1,
 "channel_capacity":1,"backpressure_on_full":true,"slow_policy":"disconnect","lag_soft_bytes":1,
 "lag_soft_ms":1,"lag_hard_bytes":1,"lag_hard_ms":1,"allow_written":false,"heartbeat_ms":1,
 "heartbeat_timeout_ms":1,"subscribers":[{"id":"desk-1","slow_policy":"retain",
 "retain_max_bytes":0,"retain_max_age_s":0,"allow_written":false,"max_connections":1}]},
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
        ("\"codec\":\"zstd\"", "\"codec\":\"gzip\"", "gzip"),
        ("\"tail\"", "\"hope\"", "hope"),
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

/// What an exporter would leave open, or cannot do, is refused; what is safe is taken.
#[test]
fn exporters() {
    let tls = "\"tls_cert\":\"/c\",\"tls_key\":\"/k\"";
    let no_tls = "\"tls_cert\":null,\"tls_key\":null";
    let (ca, no_ca) = ("\"tls_client_ca\":\"/a\"", "\"tls_client_ca\":null");
    let (token, no_token) = ("\"auth_token\":\"/k\"", "\"auth_token\":null");
    let far = ("127.0.0.1:0", "192.0.2.1:7000");
    let connect = (
        "\"listen\",\"addr\":\"127.0.0.1:0\"",
        "\"connect\",\"addr\":null",
    );
    let collector = |address: &'static str| ("\"collectors\":[]", address);
    let near = collector("\"collectors\":[\"127.0.0.1:1\"]");
    let named = collector("\"collectors\":[\"localhost:1\"]");
    for (changes, culprit) in [
        (vec![far], Some("tls_cert")),
        (vec![("127.0.0.1:0", "localhost:0")], Some("tls_cert")),
        (vec![far, (no_tls, tls)], None),
        (
            vec![far, (no_tls, tls), (token, no_token)],
            Some("tls_client_ca"),
        ),
        (
            vec![far, (no_tls, tls), (token, no_token), (no_ca, ca)],
            None,
        ),
        (vec![("127.0.0.1:0", "[::1]:0")], None),
        (vec![("127.0.0.1:0", "::1:0")], Some("host:port")),
        (vec![("127.0.0.1:0", "127.0.0.1")], Some("host:port")),
        (vec![("127.0.0.1:0", "unix:x")], Some("unix:/path")),
        (vec![(token, no_token)], Some("open to anybody")),
        (vec![(token, no_token), ("127.0.0.1:0", "unix:/x")], None),
        (vec![(no_ca, ca)], Some("tls_client_ca")),
        (
            vec![("\"tls_key\":null", "\"tls_key\":\"/k\"")],
            Some("belong together"),
        ),
        (
            vec![("\"tls_revoked\":[]", "\"tls_revoked\":[\"x\"]")],
            Some("tls_revoked"),
        ),
        (
            vec![("\"addr\":\"127.0.0.1:0\"", "\"addr\":null")],
            Some("addr is missing"),
        ),
        (vec![near], Some("collectors")),
        (vec![connect], Some("collectors is empty")),
        (vec![connect, near], None),
        (
            vec![connect, near, (token, no_token)],
            Some("could be anybody"),
        ),
        (vec![connect, named], Some("verify it")),
        (vec![connect, named, (no_ca, ca)], None),
        (
            vec![("\"listen\"", "\"connect\""), near],
            Some("addr is for"),
        ),
        (vec![("desk-1", "../x")], Some("../x")),
        (vec![("desk-1", "@book")], Some("@book")),
        (
            vec![("\"max_connections\":1", "\"max_connections\":2")],
            Some("one pin"),
        ),
    ] {
        let mut text = WHOLE.to_owned();
        for (from, to) in &changes {
            assert!(text.contains(from), "{from} is in the document");
            text = text.replacen(from, to, 1);
        }
        match (load(&text), culprit) {
            (Ok(_), None) => {}
            (Err(failure), Some(culprit)) => {
                assert_eq!(failure.code, Code::Config);
                assert!(failure.message.contains(culprit), "{}", failure.message);
            }
            (found, _) => panic!("{changes:?}: {found:?}"),
        }
    }
}

/// An address is written as it was read.
#[test]
fn endpoints() {
    for text in [
        "127.0.0.1:7",
        "[::1]:7",
        "collector.example:7",
        "unix:/run/x.sock",
    ] {
        let endpoint = export::Endpoint::try_from(text.to_owned()).expect(text);
        assert_eq!(endpoint.to_string(), text);
    }
}
