//! Ends of MQTT: it has its own goodbye, and brokers and clients then close without a Close frame.

use super::End;
use crate::capture::FrameRef;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::text::capital;
use crate::hop::Hop;
use crate::tcp::Direction;
use crate::websocket::{Farewell, Mqtt};

/// Why a broker closes without a word (MQTT 3.1.1, 3.1.4-2, 3.1.2-24 and 4.8).
pub(super) const BROKER_CLOSES: &str = "The backend closed its TCP connection without the closing handshake of WebSocket. An MQTT broker does so when another client connects with the same client identifier, when nothing came for one and a half times the keep-alive interval, or on what breaks the protocol.";

/// What a session says of itself that may have ended so.
pub(super) const GOODBYE_HIDDEN: [&str; 2] = [
    "This session of MQTT could not be followed to its end, so whether it ended in order is unknown",
    "Behind MQTT's DISCONNECT both sides close without a Close frame. Bytes are missing in the capture, or its messages were compressed.",
];

/// What to do about a broker that says why it ends.
const READ_ITS_LOG: &str = "Read the broker's log, and compare what the client sends in CONNECT (client identifier, user name, password, version) with what the broker allows.";

impl<'a> End<'a> {
    /// What a hop shows that could be followed from start to end: proxies pass frames on as they are.
    fn mqtt(&self) -> Option<&'a Mqtt> {
        let mut sessions = self.hops().filter_map(Hop::session);
        sessions.find_map(|facts| facts.mqtt.as_deref())
    }

    /// The goodbye of a side, from any hop that has it: the capture may end before it comes through the next.
    fn farewell(&self, direction: Direction) -> Option<(Farewell, FrameRef)> {
        let sessions = self.hops().filter_map(Hop::session);
        let mut told = sessions.filter_map(|facts| facts.mqtt.as_deref()?.last(direction));
        told.next()
    }

    pub(super) fn carries_mqtt(&self) -> bool {
        self.mqtt().is_some()
    }

    /// Whether the session is one of MQTT that no hop shows in full: its goodbye may be in what could not be followed.
    pub(super) fn hides_mqtt(&self) -> bool {
        let chosen = |hop: &Hop| {
            let answer = hop.exchange().response.as_ref()?;
            let name = answer.fields.first("sec-websocket-protocol")?;
            Some(Mqtt::is_named(name.trim()))
        };
        !self.carries_mqtt() && self.hops().any(|hop| chosen(hop) == Some(true))
    }

    /// Whether MQTT came to its end: behind the client's DISCONNECT both sides are to close, and so they are behind a server's
    /// that says it is a normal one. Neither needs a Close frame then (MQTT 3.1.1 and 5.0, 3.14.4).
    pub(super) fn mqtt_ended(&self) -> bool {
        let of_client = self.farewell(Direction::ToServer);
        let of_server = self.farewell(Direction::ToClient);
        matches!(of_client, Some((Farewell::Disconnect(_), _)))
            || matches!(of_server, Some((Farewell::Disconnect(0), _)))
    }

    /// What the broker's last packet says about why the session ended, with a Close frame or without.
    pub(super) fn by_broker(&self) -> Option<Draft> {
        let (farewell, frame) = self.farewell(Direction::ToClient)?;
        let (packet, code, text) = match farewell {
            Farewell::Refused(code) => ("CONNACK", code, "refused the MQTT connection"),
            Farewell::Disconnect(0) => return None,
            Farewell::Disconnect(code) => ("DISCONNECT", code, "ended the MQTT connection"),
        };
        let said = format!("MQTT {packet} {code:#04x} ({})", meaning(code));
        let backend = capital(&self.backend());
        let text = format!("{backend} {text} ({})", meaning(code));
        let detail = format!(
            "Its last packet is {said}, and behind that it has to close: the WebSocket did what it should."
        );
        let draft = self.titled(Code::ClosedWithError, &text).detail(detail);
        Some(draft.fix(READ_ITS_LOG).saw(frame, said))
    }
}

/// What a return code (MQTT 3.1.1, 3.2.2.3) or a reason code (5.0, 2.4) says.
const fn meaning(code: u8) -> &'static str {
    match code {
        0x00 => "normal",
        0x01 | 0x84 => "unsupported protocol version",
        0x02 | 0x85 => "client identifier not valid",
        0x03 | 0x88 => "server unavailable",
        0x04 | 0x86 => "bad user name or password",
        0x05 | 0x87 => "not authorized",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x89 => "server busy",
        0x8a => "banned",
        0x8b => "server shutting down",
        0x8c => "bad authentication method",
        0x8d => "keep alive timeout",
        0x8e => "session taken over by another client of the same identifier",
        0x8f => "topic filter invalid",
        0x90 => "topic name invalid",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9a => "retain not supported",
        0x9b => "QoS not supported",
        0x9c => "use another server",
        0x9d => "server moved",
        0x9e => "shared subscriptions not supported",
        0x9f => "connection rate exceeded",
        0xa0 => "maximum connect time",
        0xa1 => "subscription identifiers not supported",
        0xa2 => "wildcard subscriptions not supported",
        _ => "a code that is not defined",
    }
}
