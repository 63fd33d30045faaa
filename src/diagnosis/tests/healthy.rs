//! Traffic in which nothing is wrong: not a single finding.

use super::*;
use crate::decode::Endpoint;
use crate::diagnosis::{Severity, diagnose_connection};
use crate::hop::{OrdinaryExchange, Party, Protocol, ProxyHeader, Role};
use crate::tcp::Side;
use crate::tls::{Alert, TlsFacts};

fn silent(name: &str, handshake: &Handshake) -> String {
    let diagnosis = diagnose(handshake);
    assert_eq!(found(&diagnosis), Vec::<String>::new(), "{name}");
    assert_eq!(diagnosis.verdict, Verdict::Ok, "{name}");
    assert_eq!(diagnosis.cause, None, "{name}");
    headline(handshake, &diagnosis).into_owned()
}

fn up(client: &str, backend: &str, answer: &str, returned: &str) -> Handshake {
    with_session(
        through(
            front()
                .ask(client, 0.5)
                .answer(returned, 1.7)
                .session(talk(2, 1.7, 50.0)),
            back()
                .ask(backend, 1.2)
                .answer(answer, 1.6)
                .session(talk(2, 1.6, 50.0)),
        ),
        None,
    )
}

#[test]
fn through_nginx() {
    assert_eq!(
        silent("plain", &up(ASK, FORWARDED, SWITCH, SWITCHED)),
        "WebSocket /ws came up through 192.168.50.1 to 10.20.0.11:8080 in 1.2 ms"
    );
}

#[test]
fn direct() {
    let handshake = with_session(
        alone(
            front()
                .ask(ASK, 0.5)
                .answer(SWITCH, 1.5)
                .session(talk(1, 1.5, 9.0)),
            Role::Direct,
        ),
        None,
    );
    assert_eq!(
        silent("direct", &handshake),
        "WebSocket /ws came up at 192.168.50.1:80 in 1.0 ms"
    );
}

#[test]
fn odd_but_legal_spelling() {
    let firefox = ASK.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    let loud = ASK.replace("Upgrade: websocket", "UPGRADE: WebSocket");
    let repeated = ASK.replace(
        "Connection: Upgrade",
        "Connection: keep-alive\nConnection: Upgrade",
    );
    let shouted = SWITCH.replace("Upgrade: websocket", "Upgrade: WEBSOCKET");
    for (name, ask) in [
        ("firefox", &firefox),
        ("loud", &loud),
        ("repeated", &repeated),
    ] {
        silent(name, &up(ask, FORWARDED, SWITCH, SWITCHED));
    }
    silent("shouted", &up(ASK, FORWARDED, &shouted, SWITCHED));
}

#[test]
fn lenient_peers_and_repairs() {
    let http10 = FORWARDED.replace("HTTP/1.1", "HTTP/1.0");
    let aiohttp = SWITCH.replace("HTTP/1.1", "HTTP/1.0");
    let no_connection = SWITCH.replace("Connection: Upgrade\n", "");
    let without_option = ASK.replace("Connection: Upgrade\n", "");
    let old_client = ASK.replace("HTTP/1.1", "HTTP/1.0");
    silent("HTTP/1.0 accepted", &up(ASK, &http10, &aiohttp, SWITCHED));
    silent(
        "backend 101 without Connection",
        &up(ASK, FORWARDED, &no_connection, SWITCHED),
    );
    silent(
        "nginx writes Connection anew",
        &up(&without_option, FORWARDED, SWITCH, SWITCHED),
    );
    silent(
        "nginx upgrades HTTP/1.0 clients",
        &up(&old_client, FORWARDED, SWITCH, SWITCHED),
    );
}

#[test]
fn extensions_removed_on_both_sides() {
    let offers =
        format!("{ASK}\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits");
    let diagnosis = diagnose(&up(&offers, FORWARDED, SWITCH, SWITCHED));
    assert_eq!(diagnosis.verdict, Verdict::Ok);
    assert_eq!(diagnosis.cause, None);
    assert_eq!(found(&diagnosis), [""; 0]);
    let forwarded = format!("{FORWARDED}\nSec-WebSocket-Extensions: permessage-deflate");
    silent("forwarded", &up(&offers, &forwarded, SWITCH, SWITCHED));
}

#[test]
fn subprotocol_chosen_or_not() {
    let offers = format!("{ASK}\nSec-WebSocket-Protocol: mqtt, chat");
    let forwarded = format!("{FORWARDED}\nSec-WebSocket-Protocol: mqtt, chat");
    let chosen = format!("{SWITCH}\nSec-WebSocket-Protocol: chat");
    let returned = format!("{SWITCHED}\nSec-WebSocket-Protocol: chat");
    silent("chosen", &up(&offers, &forwarded, &chosen, &returned));
    // A client that talks on did not mind.
    silent("none chosen", &up(&offers, &forwarded, SWITCH, SWITCHED));
}

#[test]
fn path_and_host_rewritten_on_purpose() {
    let forwarded = FORWARDED.replace("/ws", "/app/socket");
    silent("rewritten", &up(ASK, &forwarded, SWITCH, SWITCHED));
}

#[test]
fn normal_ends() {
    for (name, code) in [
        ("1000", Some(1000)),
        ("1001", Some(1001)),
        ("no code", None),
    ] {
        for [first, other] in [[Side::Client, Side::Server], [Side::Server, Side::Client]] {
            let mut facts = talk(2, 1.7, 50.0);
            facts.closes = vec![
                close(first, code, "bye", 60.0),
                close(other, code, "bye", 61.0),
            ];
            silent(name, &ended(hops(facts), Party::Proxy, 61.5));
        }
    }
}

#[test]
fn close_not_answered_is_still_a_goodbye() {
    let mut facts = talk(2, 1.7, 50.0);
    facts.closes = vec![close(Side::Client, Some(1001), "", 60.0)];
    let (client, backend) = hops(facts);
    let handshake = through(
        client.rst(Side::Client, 60.1),
        backend.fin(Side::Client, 60.2),
    );
    silent(
        "1001 and gone",
        &with_session(handshake, Some(Party::Client)),
    );
}

#[test]
fn open_and_quiet_with_pings() {
    let mut facts = talk(1, 1.7, 600_000.0);
    facts.to_server.frames.ping = 20;
    facts.to_server.ping_interval_nanos = Some((30_000_000_000, 30_100_000_000));
    let (client, backend) = hops(facts);
    silent("still open", &with_session(through(client, backend), None));
}

#[test]
fn open_and_silent() {
    let (client, backend) = hops(talk(0, 1.7, 0.0));
    let handshake = with_session(through(client, backend), None);
    silent("nothing said yet", &handshake);
}

#[test]
fn behind_tls_only_the_backend_hop_is_clear() {
    let forwarded = format!("{FORWARDED}\nX-Forwarded-For: 192.168.50.23");
    let handshake = with_session(
        alone(
            back()
                .ask(&forwarded, 1.2)
                .answer(SWITCH, 1.6)
                .session(talk(2, 1.6, 50.0)),
            Role::ProxyBackend,
        ),
        None,
    );
    silent("backend hop", &handshake);
}

#[test]
fn a_chain_of_two_proxies() {
    let middle = conn(2, BACK, Endpoint::v4([10, 20, 0, 2], 80), 1.0);
    let handshake = with_session(
        chain(vec![
            front()
                .ask(ASK, 0.5)
                .answer(SWITCHED, 2.7)
                .session(talk(2, 2.7, 50.0)),
            middle
                .ask(FORWARDED, 1.2)
                .answer(SWITCHED, 2.6)
                .session(talk(2, 2.6, 50.0)),
            back()
                .ask(FORWARDED, 1.5)
                .answer(SWITCH, 2.5)
                .session(talk(2, 2.5, 50.0)),
        ]),
        None,
    );
    assert_eq!(
        silent("chain", &handshake),
        "WebSocket /ws came up through 192.168.50.1 and 10.20.0.2 to 10.20.0.11:8080 in 2.2 ms"
    );
}

/// Connections that are none of our business, or fine.
#[test]
fn ordinary_connections() {
    let plain = |exchange: OrdinaryExchange| {
        let mut record = front().record;
        record.ordinary = vec![exchange];
        record
    };
    let get = |connection, status| ordinary("/", connection, status, 1.0);
    let refused = |method: &str| OrdinaryExchange {
        method: method.into(),
        ..get(None, 400)
    };
    for (name, exchange) in [
        ("page", get(Some("keep-alive"), 200)),
        ("refused", refused("POST")),
        (
            "h2c",
            OrdinaryExchange {
                upgrade: Some("h2c".into()),
                ..get(Some("Upgrade, HTTP2-Settings"), 400)
            },
        ),
        ("forced and accepted", get(Some("upgrade"), 200)),
        ("CONNECT", refused("CONNECT")),
        (
            "still open",
            OrdinaryExchange {
                response: None,
                ..get(Some("upgrade"), 0)
            },
        ),
    ] {
        assert_eq!(diagnose_connection(&plain(exchange)), [], "{name}");
    }
    let mut proxied = plain(get(None, 200));
    proxied.proxy_header = Some(ProxyHeader {
        frame: at(0.5),
        version: 2,
        source: None,
    });
    assert_eq!(diagnose_connection(&proxied), [], "PROXY header expected");
}

#[test]
fn tls_that_works() {
    let mut record = conn(3, CLIENT, Endpoint::v4([192, 168, 50, 1], 443), 0.0)
        .fin(Side::Client, 50.0)
        .record;
    record.protocol = Protocol::Tls;
    record.exchange_count = 0;
    let mut tls = TlsFacts {
        client_hello: Some(at(0.3)),
        server_hello: Some(at(0.6)),
        application_data: (Some(at(1.0)), Some(at(1.2))),
        ..TlsFacts::default()
    };
    record.tls = Some(Box::new(tls.clone()));
    assert_eq!(diagnose_connection(&record), []);
    // A warning alert, or close_notify in clear, is no failure.
    tls.alerts = vec![
        Alert {
            from: Side::Server,
            level: 1,
            description: 112,
            frame: at(0.7),
        },
        Alert {
            from: Side::Client,
            level: 2,
            description: 0,
            frame: at(9.0),
        },
    ];
    record.tls = Some(Box::new(tls));
    assert_eq!(diagnose_connection(&record), []);
}

#[test]
fn other_protocols() {
    let mut record = conn(3, CLIENT, Endpoint::v4([192, 168, 50, 1], 22), 0.0)
        .fin(Side::Server, 50.0)
        .record;
    record.protocol = Protocol::Other;
    record.exchange_count = 0;
    record.not_http = vec![(
        crate::tcp::Direction::ToClient,
        at(0.5),
        b"SSH-2.0-x".as_slice().into(),
    )];
    assert_eq!(diagnose_connection(&record), []);
}

/// The capture began when the session was about to end: nothing is known of its handshake, but that it came up.
#[test]
fn only_the_end_of_a_session() {
    use crate::tcp::Opening;
    let mut facts = talk(0, 0.0, 0.0);
    facts.closes = vec![
        close(Side::Client, Some(1000), "bye", 0.1),
        close(Side::Server, Some(1000), "bye", 0.4),
    ];
    let end = front()
        .session(facts)
        .edit(|c| c.record.connection.opening = Opening::Midstream)
        .fin(Side::Server, 0.8);
    let handshake = with_session(alone(end, Role::Unknown), None);
    let diagnosis = diagnose(&handshake);
    assert_eq!(diagnosis.verdict, Verdict::Ok);
    assert!(
        diagnosis
            .findings
            .iter()
            .all(|one| one.severity == Severity::Info)
    );
}
