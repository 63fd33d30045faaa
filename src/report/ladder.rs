//! The story of a handshake as a ladder: who said what to whom, in order, with the frames that show it.

use super::view::{EventView, FrontView, HandshakeView, Report};
use super::words;
use crate::tcp::ConnectionId;

/// Steps drawn: more than a screen of them hides what matters.
const STEPS_MAX: usize = 24;

/// A ladder: who stands where, and the steps between them.
pub(super) struct Ladder {
    /// The parties from left to right, each with its address.
    pub(super) parties: Vec<Party>,
    pub(super) steps: Vec<Step>,
    /// Steps left out in the middle.
    pub(super) hidden: usize,
}

pub(super) struct Party {
    pub(super) name: String,
    pub(super) address: String,
}

pub(super) struct Step {
    /// Places in [`Ladder::parties`].
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) event: EventView,
}

/// Connections of a handshake by the parties they join.
struct Lane {
    connection: ConnectionId,
    client: usize,
    server: usize,
}

impl Ladder {
    /// The ladder of a handshake; without steps where there is nothing to draw.
    pub(super) fn of(report: &Report, handshake: &HandshakeView) -> Self {
        let mut parties: Vec<Party> = Vec::new();
        let mut lanes: Vec<Lane> = Vec::new();
        let joins = handshake
            .front
            .iter()
            .map(|front| (front.connection, FrontView::ROLE))
            .chain(handshake.hops.iter().map(|hop| (hop.connection, hop.role)))
            .chain(
                handshake
                    .attempts
                    .iter()
                    .map(|attempt| (attempt.connection, "proxy-backend")),
            );
        for (id, role) in joins {
            let Some(connection) = report.connection(id) else {
                continue;
            };
            if lanes.iter().any(|lane| lane.connection == id) {
                continue;
            }
            let (client, server) = words::ends(role);
            let mut party = |name: &str, endpoint: &str, called: Option<&String>| {
                let address = words::named(host(endpoint), called);
                // A proxy has one address for each side, and stays one party.
                let known = parties.iter().position(|party| {
                    party.name == name && (name == "proxy" || party.address == address)
                });
                known.unwrap_or_else(|| {
                    parties.push(Party {
                        name: name.to_owned(),
                        address,
                    });
                    parties.len() - 1
                })
            };
            let client_place = party(client, &connection.client, connection.client_name.as_ref());
            let server_place = if client == server {
                // Two proxies: the next one is a new party.
                parties.push(Party {
                    name: server.to_owned(),
                    address: words::named(
                        host(&connection.server),
                        connection.server_name.as_ref(),
                    ),
                });
                parties.len() - 1
            } else {
                party(server, &connection.server, connection.server_name.as_ref())
            };
            lanes.push(Lane {
                connection: id,
                client: client_place,
                server: server_place,
            });
        }
        let mut steps: Vec<Step> = handshake
            .timeline
            .iter()
            .filter_map(|event| {
                let lane = lanes
                    .iter()
                    .find(|lane| lane.connection == event.connection)?;
                let (from, to) = if event.to_server {
                    (lane.client, lane.server)
                } else {
                    (lane.server, lane.client)
                };
                Some(Step {
                    from,
                    to,
                    event: event.clone(),
                })
            })
            .collect();
        let hidden = steps.len().saturating_sub(STEPS_MAX);
        if hidden > 0 {
            // How it began and how it ended tell most.
            let head = STEPS_MAX / 2;
            steps.drain(head..head + hidden);
        }
        Self {
            parties,
            steps,
            hidden,
        }
    }

    /// After which step others were left out.
    pub(super) const fn gap_after(&self) -> Option<usize> {
        if self.hidden > 0 {
            Some(STEPS_MAX / 2 - 1)
        } else {
            None
        }
    }
}

/// The address without its port.
fn host(endpoint: &str) -> &str {
    endpoint
        .rsplit_once(':')
        .map_or(endpoint, |(host, _)| host)
        .trim_start_matches('[')
        .trim_end_matches(']')
}
