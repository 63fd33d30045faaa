//! Two ends of a TLS connection, rustls both, and what they send each other.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};

use crate::tcp::Direction::{self, ToClient, ToServer};

/// Certificates for `ws.example.org` that sign themselves, and their keys.
const EC: [&[u8]; 2] = [
    include_bytes!("../../fixtures/ec.der"),
    include_bytes!("../../fixtures/ec_key.der"),
];
const RSA: [&[u8]; 2] = [
    include_bytes!("../../fixtures/rsa.der"),
    include_bytes!("../../fixtures/rsa_key.der"),
];

/// What a session sent, a flight each, and the lines of its key log.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorded {
    pub(super) flights: Vec<(Direction, Vec<u8>)>,
    pub(super) log: Vec<u8>,
    /// What was said: to the server, to the client.
    pub(super) said: [Vec<u8>; 2],
    pub(super) early_taken: bool,
    /// The flights of the handshake.
    pub(super) begun: usize,
}

/// What happens in a session behind the handshake.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// One side says something.
    Say(Direction, Vec<u8>),
    /// One side changes its keys (TLS 1.3).
    Refresh(Direction),
    /// One side says that it has said all.
    Close(Direction),
}

pub(super) fn say(direction: Direction, what: &[u8]) -> Act {
    Act::Say(direction, what.to_vec())
}

/// Both ends of sessions that may resume each other.
pub(super) struct Peers {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    lines: Arc<Lines>,
}

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<u8>>);

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        self.0.lock().unwrap().extend_from_slice(line.as_bytes());
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

pub(super) fn suites() -> Vec<SupportedCipherSuite> {
    ring::ALL_CIPHER_SUITES.to_vec()
}

/// How the ends are set up.
pub(super) struct Setup {
    pub(super) suite: SupportedCipherSuite,
    /// The server wants a group for which the client sent no key share.
    pub(super) retry: bool,
    /// How much early data the server takes; the client is ready to send some.
    pub(super) early: u32,
}

impl Peers {
    pub(super) fn new(suite: SupportedCipherSuite) -> Self {
        Self::with(&Setup {
            suite,
            retry: false,
            early: 0,
        })
    }

    pub(super) fn with(setup: &Setup) -> Self {
        let groups: [&'static dyn SupportedKxGroup; 2] =
            [ring::kx_group::X25519, ring::kx_group::SECP256R1];
        let provider = |groups: &[&'static dyn SupportedKxGroup]| {
            Arc::new(CryptoProvider {
                cipher_suites: vec![setup.suite],
                kx_groups: groups.to_vec(),
                ..ring::default_provider()
            })
        };
        let version = [setup.suite.version()];
        let lines = Arc::new(Lines::default());
        let name = setup.suite.suite().as_str().unwrap();
        let [certificate, key] = if name.contains("RSA") { RSA } else { EC };
        let certificate = CertificateDer::from(certificate);
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider(&groups))
            .with_protocol_versions(&version)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        client.enable_early_data = true;
        client.key_log = lines.clone();
        let theirs = if setup.retry {
            &groups[1..]
        } else {
            &groups[..]
        };
        let mut server = ServerConfig::builder_with_provider(provider(theirs))
            .with_protocol_versions(&version)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        server.max_early_data_size = setup.early;
        Self {
            client: Arc::new(client),
            server: Arc::new(server),
            lines,
        }
    }

    /// The same client, and a server that does not know it any more.
    pub(super) fn forgetful(self) -> Self {
        let mut server = (*self.server).clone();
        server.max_early_data_size = 0;
        Self {
            server: Arc::new(server),
            ..self
        }
    }

    /// Plays a session; `early` is what the client says before the server answers, if it can.
    pub(super) fn play(&self, early: &[u8], acts: &[Act]) -> Recorded {
        let name = ServerName::try_from("ws.example.org").unwrap();
        let mut client = ClientConnection::new(self.client.clone(), name).unwrap();
        let mut server = ServerConnection::new(self.server.clone()).unwrap();
        client.set_buffer_limit(None);
        server.set_buffer_limit(None);
        let mut recorded = Recorded::default();
        if !early.is_empty() {
            client.early_data().unwrap().write_all(early).unwrap();
        }
        exchange(&mut client, &mut server, &mut recorded);
        recorded.early_taken = !early.is_empty() && client.is_early_data_accepted();
        if !early.is_empty() && !recorded.early_taken {
            client.writer().write_all(early).unwrap();
            exchange(&mut client, &mut server, &mut recorded);
        }
        recorded.said[0].extend_from_slice(early);
        recorded.begun = recorded.flights.len();
        for act in acts {
            match act {
                Act::Say(ToServer, what) => {
                    client.writer().write_all(what).unwrap();
                    recorded.said[0].extend_from_slice(what);
                }
                Act::Say(ToClient, what) => {
                    server.writer().write_all(what).unwrap();
                    recorded.said[1].extend_from_slice(what);
                }
                Act::Refresh(ToServer) => client.refresh_traffic_keys().unwrap(),
                Act::Refresh(ToClient) => server.refresh_traffic_keys().unwrap(),
                Act::Close(ToServer) => client.send_close_notify(),
                Act::Close(ToClient) => server.send_close_notify(),
            }
            exchange(&mut client, &mut server, &mut recorded);
        }
        recorded.log = std::mem::take(&mut self.lines.0.lock().unwrap());
        recorded
    }
}

/// Carries bytes to and fro until there are none.
fn exchange(client: &mut ClientConnection, server: &mut ServerConnection, recorded: &mut Recorded) {
    loop {
        let before = recorded.flights.len();
        while client.wants_write() {
            let mut flight = Vec::new();
            client.write_tls(&mut flight).unwrap();
            let mut rest = flight.as_slice();
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
                drain(&mut server.reader());
            }
            recorded.flights.push((ToServer, flight));
        }
        if let Some(mut early) = server.early_data() {
            drain(&mut early);
        }
        while server.wants_write() {
            let mut flight = Vec::new();
            server.write_tls(&mut flight).unwrap();
            let mut rest = flight.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets().unwrap();
                drain(&mut client.reader());
            }
            recorded.flights.push((ToClient, flight));
        }
        if recorded.flights.len() == before {
            return;
        }
    }
}

/// Buffers are limited: what came is read.
fn drain(reader: &mut impl Read) {
    let mut buffer = [0; 4096];
    while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
