//! TLS that failed in the open, on connections that are in no handshake.

use super::*;
use crate::decode::Endpoint;
use crate::diagnosis::diagnose_connection;
use crate::hop::{Protocol, Record};
use crate::tcp::{Direction, EndingHow, Side};
use crate::tls::{Alert, TlsFacts};

const TLS_PORT: Endpoint = Endpoint::v4([192, 168, 50, 1], 443);

/// A connection that begins with a ClientHello.
pub(super) fn tls(change: impl FnOnce(&mut TlsFacts)) -> Record {
    let mut facts = TlsFacts {
        client_hello: Some(at(0.3)),
        sni: Some("chat.example".into()),
        ..TlsFacts::default()
    };
    change(&mut facts);
    let mut record = conn(3, CLIENT, TLS_PORT, 0.0).record;
    record.protocol = Protocol::Tls;
    record.exchange_count = 0;
    record.tls = Some(Box::new(facts));
    record
}

/// A fatal alert.
pub(super) fn alert(from: Side, description: u8) -> Alert {
    Alert {
        from,
        level: 2,
        description,
        frame: at(1.0),
    }
}

#[test]
fn tls_that_fails() {
    for (name, from, description, requested, code) in [
        (
            "unknown_ca",
            Side::Client,
            48,
            None,
            Code::CertificateRejected,
        ),
        ("expired", Side::Client, 45, None, Code::CertificateRejected),
        (
            "no common cipher",
            Side::Server,
            40,
            None,
            Code::TlsHandshakeFailed,
        ),
        ("version", Side::Server, 70, None, Code::TlsHandshakeFailed),
        ("ALPN", Side::Server, 120, None, Code::TlsHandshakeFailed),
        ("name", Side::Server, 112, None, Code::TlsNameUnrecognized),
        (
            "certificate required",
            Side::Server,
            116,
            None,
            Code::ClientCertificateMissing,
        ),
        (
            "no certificate sent",
            Side::Server,
            40,
            Some(false),
            Code::ClientCertificateMissing,
        ),
        (
            "certificate sent",
            Side::Server,
            40,
            Some(true),
            Code::TlsHandshakeFailed,
        ),
    ] {
        let record = tls(|facts| {
            facts.alerts = vec![alert(from, description)];
            facts.certificate_requested = requested;
        });
        assert_eq!(codes(&diagnose_connection(&record)), [code], "{name}");
    }
}

#[test]
fn tls_and_plain_mixed_up() {
    let answered = tls(|facts| {
        facts.not_tls = Some((Side::Server, at(0.5), b"HTTP/1.1 400 Bad".as_slice().into()));
    });
    assert_eq!(
        codes(&diagnose_connection(&answered)),
        [Code::TlsToPlainPort]
    );

    let mut plain = front().record;
    plain.not_http = vec![(
        Direction::ToClient,
        at(0.8),
        b"\x15\x03\x01\x00\x02\x02\x46".as_slice().into(),
    )];
    assert_eq!(codes(&diagnose_connection(&plain)), [Code::PlainToTlsPort]);

    let mut closed = tls(|_| {});
    closed.connection.ended = Some(crate::tcp::Ending {
        how: EndingHow::Rst,
        by: Side::Server,
        frame: at(0.9),
    });
    assert_eq!(
        codes(&diagnose_connection(&closed)),
        [Code::TlsHandshakeFailed]
    );
    // A hole may hide the answer.
    closed.connection.to_client.missing_bytes = 100;
    assert_eq!(codes(&diagnose_connection(&closed)), []);
}
