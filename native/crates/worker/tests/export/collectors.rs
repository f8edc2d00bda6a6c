//! Collectors that the exporter dials: whom they obey.

use serde_json::json;

use crate::papers::{Papers, acked, free_port, subscriber};
use crate::plant::{Plant, wait_until};

/// A collector trusts the authority of its exporter, which gives certificates to others, too: only the
/// one with the exporter's name is obeyed.
#[test]
fn a_certificate_of_another_name_is_not_obeyed() {
    let mut plant = Plant::new();
    plant.append(500, 100);
    let papers = Papers::new(&plant);
    papers.issue("exporter", &["exporter.example"]);
    let port = free_port();
    let place = format!("127.0.0.1:{port}");
    let (cert, key, ca) = (
        papers.arg("a.pem"),
        papers.arg("a.key"),
        papers.arg("ca.pem"),
    );
    let _running = subscriber(
        &plant,
        &[
            "--listen",
            &place,
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
            "--tls-ca",
            &ca,
            "--server-name",
            "exporter.example",
        ],
    );
    let dials = |own: &str| {
        json!({
            "mode": "connect", "collectors": [format!("localhost:{port}")],
            "tls_cert": papers.arg(&format!("{own}.pem")),
            "tls_key": papers.arg(&format!("{own}.key")),
            "tls_client_ca": papers.arg("ca.pem"), "reconnect_backoff_ms": 1,
        })
    };
    let other = plant.export(dials("server"), json!({}));
    wait_until("it is denied", || {
        let told = "nothing proves who it is";
        let log = std::fs::read_to_string(plant.path("subscriber.log")).expect("reads");
        log.contains(told)
    });
    assert_eq!(acked(&plant), 0);
    drop(other);
    let _exporter = plant.export(dials("exporter"), json!({}));
    wait_until("the collector has all", || acked(&plant) == plant.durable());
}
