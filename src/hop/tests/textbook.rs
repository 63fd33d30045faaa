//! Joining a pair the short way gives what weighing it gives.

use proptest::prelude::*;

use super::build::*;
use crate::hop::attempts::{Silent, place};
use crate::hop::context::Context;
use crate::hop::ordinary::OrdinaryPool;
use crate::hop::pairing::{nodes_of, weigh};
use crate::hop::{Known, textbook};
use crate::tcp::Side;

const PROXY: &str = "10.0.0.1:80";
const BACKEND: &str = "10.20.0.11:8080";

/// Two connections, and what else there was.
#[derive(Debug, Clone)]
struct Scene {
    capture: u16,
    client: &'static str,
    proxy_client: &'static str,
    server: &'static str,
    keys: (u8, u8),
    sample: bool,
    stripped: bool,
    statuses: (u16, u16),
    /// Milliseconds: request and answer of the inner exchange, answer of the outer one, which asks at 10.
    times: (u8, u8, u8),
    equal_numbers: bool,
    fingerprints: Option<(u64, u64)>,
    ended: Option<(u8, u8)>,
    failed_at: Option<u8>,
    ordinary_at: Option<u8>,
}

fn scene() -> impl Strategy<Value = Scene> {
    // The textbook's own value comes first and is chosen most often.
    let rarely = |usual: u16, other: u16| prop_oneof![7 => Just(usual), 1 => Just(other)];
    let seldom = || proptest::option::weighted(0.2, 0_u8..80);
    (
        (
            rarely(0, 1),
            prop_oneof![7 => Just("192.0.2.7:40001"), 1 => Just("10.0.0.1:40001")],
            prop_oneof![3 => Just("10.0.0.1:51001"), 3 => Just("10.20.0.1:51001"), 1 => Just("192.0.2.7:51001")],
            prop_oneof![7 => Just(BACKEND), 1 => Just(PROXY)],
        ),
        (prop_oneof![7 => Just((1, 1)), 1 => Just((1, 2))], prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        (rarely(101, 502), rarely(101, 400)),
        (5_u8..40, 15_u8..60, 20_u8..70),
        prop::bool::weighted(0.1),
        proptest::option::of(prop_oneof![4 => Just((3, 3)), 1 => Just((3, 4))]),
        proptest::option::of((70_u8..90, 70_u8..90)),
        (seldom(), seldom()),
    )
        .prop_map(
            |(
                (capture, client, proxy_client, server),
                (keys, sample, stripped),
                statuses,
                times,
                equal_numbers,
                fingerprints,
                ended,
                (failed_at, ordinary_at),
            )| Scene {
                capture,
                client,
                proxy_client,
                server,
                keys,
                sample,
                stripped,
                statuses,
                times,
                equal_numbers,
                fingerprints,
                ended,
                failed_at,
                ordinary_at,
            },
        )
}

impl Scene {
    fn hops(&self) -> [Build; 2] {
        let key_of = |number| {
            let sample = self.sample.then(|| "dGhlIHNhbXBsZSBub25jZQ==".to_owned());
            sample.unwrap_or_else(|| key(number))
        };
        let (asked, inner_answer, outer_answer) = self.times;
        let say = |status: u16, key: &str| match status {
            101 => switching(key),
            other => answer(other),
        };
        let keys = (key_of(self.keys.0), key_of(self.keys.1));
        let forwarded = if self.stripped {
            stripped("/ws", &keys.1)
        } else {
            upgrade("/ws", &keys.1)
        };
        let mut outer = Build::new(1, self.client, PROXY, 5.0)
            .ask(10.0, &upgrade("/ws", &keys.0))
            .tell(outer_answer.into(), &say(self.statuses.0, &keys.0));
        let mut inner = Build::seen_by(self.capture, 2, self.proxy_client, self.server, 11.0)
            .ask(asked.into(), &forwarded)
            .tell(inner_answer.into(), &say(self.statuses.1, &keys.1));
        if let Some((of_outer, of_inner)) = self.fingerprints {
            outer = outer.session(71.0, 75.0, of_outer);
            inner = inner.session(72.0, 76.0, of_inner);
        }
        if let Some((of_outer, of_inner)) = self.ended {
            outer = outer.fin(of_outer.into(), Side::Client);
            inner = inner.fin(of_inner.into(), Side::Server);
        }
        if self.equal_numbers {
            return [outer.isn(7, 8), inner.isn(7, 8)];
        }
        [outer, inner]
    }

    /// What it comes to by one of the two ways: the handshakes, and what was learned.
    fn told(&self, short: bool) -> Option<String> {
        let mut nodes: Vec<_> = self
            .hops()
            .map(Build::shared)
            .iter()
            .flat_map(nodes_of)
            .collect();
        nodes.sort_by_key(|node| (node.start(), node.slot));
        let mut silent = Silent::new();
        if let Some(at) = self.failed_at {
            let refused = Build::new(3, "10.20.0.1:51009", "10.20.0.12:8080", at.into()).shared();
            silent.insert(place(&refused), refused);
        }
        let mut known = Known::default();
        let mut pool = OrdinaryPool::default();
        if let Some(at) = self.ordinary_at {
            let record = Build::new(4, "10.0.0.1:51003", "10.20.0.13:8080", at.into())
                .ordinary(f64::from(at), f64::from(at) + 9.0, "/ws")
                .shared();
            pool.keep(&record, &record.ordinary[0]);
        }
        let mut context = Context {
            known: &mut known,
            silent: &silent,
            ordinary: pool.all(),
            rivals: &[],
            settled: true,
        };
        let found = if short {
            let [outer, inner] = &*nodes else {
                return None;
            };
            vec![textbook::join(outer, inner, &mut context)?]
        } else {
            weigh(nodes, &mut context)
        };
        Some(format!("{found:?} {known:?}"))
    }
}

proptest! {
    #[test]
    fn the_short_way_gives_what_weighing_gives(scene in scene()) {
        if let Some(short) = scene.told(true) {
            prop_assert_eq!(Some(short), scene.told(false));
        }
    }
}

fn plain() -> Scene {
    Scene {
        capture: 0,
        client: "192.0.2.7:40001",
        proxy_client: "10.20.0.1:51001",
        server: BACKEND,
        keys: (1, 1),
        sample: false,
        stripped: false,
        statuses: (101, 101),
        times: (12, 20, 21),
        equal_numbers: false,
        fingerprints: Some((3, 3)),
        ended: Some((80, 81)),
        failed_at: None,
        ordinary_at: Some(13),
    }
}

#[test]
fn it_takes_the_plain_pair_and_no_other() {
    assert!(plain().told(true).is_some());
    let retried = Scene {
        failed_at: Some(11),
        ..plain()
    };
    let told = retried.told(true);
    assert!(
        told.as_ref()
            .is_some_and(|told| told.contains("ConnectAttempt"))
    );
    assert_eq!(told, retried.told(false));
    let others = [
        Scene {
            capture: 1,
            ..plain()
        },
        Scene {
            server: PROXY,
            ..plain()
        },
        Scene {
            keys: (1, 2),
            ..plain()
        },
        Scene {
            sample: true,
            ..plain()
        },
        Scene {
            stripped: true,
            ..plain()
        },
        Scene {
            statuses: (502, 101),
            ..plain()
        },
        Scene {
            statuses: (101, 400),
            ..plain()
        },
        Scene {
            times: (22, 30, 21),
            ..plain()
        },
        Scene {
            equal_numbers: true,
            ..plain()
        },
    ];
    for other in others {
        assert!(other.told(true).is_none(), "{other:?}");
    }
}
