//! Sessions with segments missing: what comes out is what was said, in its place.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::peers::{Act, Peers, Recorded, say, suites};
use super::*;
use crate::tcp::Direction::ToServer;
use crate::tls::Sealed;

/// A session of each suite.
static SESSIONS: LazyLock<Vec<Recorded>> = LazyLock::new(|| {
    let texts: Vec<Vec<u8>> = [3, 700, 40, 17_000, 1, 2500, 12]
        .iter()
        .map(|&len| {
            (0_u32..len)
                .map(|at| (at * 7 + at / 251 + len) as u8)
                .collect()
        })
        .collect();
    let acts: Vec<Act> = texts
        .iter()
        .flat_map(|text| [say(ToServer, text), say(ToClient, &text[..=text.len() / 2])])
        .collect();
    suites()
        .into_iter()
        .map(|suite| Peers::new(suite).play(b"", &acts))
        .collect()
});

/// Segments of a session, the flights of the handshake first, and how many those are.
fn segments(recorded: &Recorded, cuts: &[usize]) -> (Vec<(Direction, Vec<u8>)>, usize) {
    let mut cuts = cuts.iter().cycle();
    let (mut segments, mut handshake) = (Vec::new(), 0);
    for (flight, (direction, data)) in recorded.flights.iter().enumerate() {
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            segments.push((*direction, now.to_vec()));
            rest = later;
        }
        if flight + 1 == recorded.begun {
            handshake = segments.len();
        }
    }
    (segments, handshake)
}

/// The same with some of them missing, as a capture may lose them: the first bytes of a segment may be there.
fn lose(segments: &[(Direction, Vec<u8>)], lost: &[(usize, usize)]) -> Vec<Event> {
    let mut events = Vec::new();
    for (place, (direction, data)) in segments.iter().enumerate() {
        match lost.iter().find(|(at, _)| *at == place) {
            None => events.push(Event::Bytes(*direction, data.clone())),
            Some((_, kept)) => {
                let kept = (*kept).min(data.len() - 1);
                if kept > 0 {
                    events.push(Event::Bytes(*direction, data[..kept].to_vec()));
                }
                events.push(Event::Gap(*direction, (data.len() - kept) as u64));
            }
        }
    }
    events
}

fn read_events(events: &[Event], keys: &KeyLog) -> Reading {
    let mut reading = Reading::new();
    for event in events {
        reading.event(event, keys);
    }
    reading
}

/// Every run is what was said there.
fn check_places(reading: &Reading, said: &[Vec<u8>; 2]) {
    for (runs, said) in reading.runs.iter().zip(said) {
        for (start, run) in runs {
            let start = *start as usize;
            assert!(
                said.get(start..start + run.len()) == Some(run),
                "at {start}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_segmentation_gives_the_same_clear_bytes(
        which in 0_usize..9,
        cuts in proptest::collection::vec(1_usize..3000, 1..9),
    ) {
        let recorded = &SESSIONS[which];
        let (segments, _) = segments(recorded, &cuts);
        let reading = read(&segments, &keys(&recorded.log));
        prop_assert!(reading.clear() == recorded.said);
    }

    #[test]
    fn lost_segments_of_a_conversation_leave_holes_of_their_size(
        which in 0_usize..9,
        cuts in proptest::collection::vec(prop_oneof![1_usize..80, 500_usize..1500], 1..9),
        lost in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), 0_usize..40]), 1..5),
    ) {
        let recorded = &SESSIONS[which];
        let (segments, handshake) = segments(recorded, &cuts);
        let lost: Vec<_> = lost
            .iter()
            .map(|(at, kept)| (handshake + at.index(segments.len() - handshake), *kept))
            .collect();
        let reading = read_events(&lose(&segments, &lost), &keys(&recorded.log));
        check_places(&reading, &recorded.said);
        let sealed = reading.facts().sealed;
        let all = recorded.said.each_ref().map(|said| said.len() as u64);
        for (next, all) in reading.next.iter().zip(all) {
            prop_assert!(*next <= all, "{sealed:?}");
        }
    }

    #[test]
    fn segments_lost_anywhere_give_nothing_that_was_not_said(
        which in 0_usize..9,
        cuts in proptest::collection::vec(prop_oneof![1_usize..80, 500_usize..1500], 1..9),
        lost in proptest::collection::vec((0_usize..40, prop_oneof![Just(0), 0_usize..40]), 1..5),
    ) {
        let recorded = &SESSIONS[which];
        let (segments, _) = segments(recorded, &cuts);
        let reading = read_events(&lose(&segments, &lost), &keys(&recorded.log));
        for (runs, said) in reading.runs.iter().zip(&recorded.said) {
            let mut rest = said.as_slice();
            for (_, run) in runs {
                let at = memchr::memmem::find(rest, run);
                prop_assert!(at.is_some());
                rest = &rest[at.unwrap() + run.len()..];
            }
        }
    }
}

/// Short messages both ways, of a suite each.
fn chat() -> impl Iterator<Item = Recorded> {
    suites().into_iter().map(|suite| {
        let acts: Vec<Act> = (0..100_u8)
            .map(|number| say(ToServer, &[number; 10]))
            .collect();
        Peers::new(suite).play(b"", &acts)
    })
}

/// The flights of the conversation with `lost` of them missing from `from` on.
fn without(recorded: &Recorded, from: usize, lost: usize) -> Vec<Event> {
    let mut events: Vec<Event> = recorded
        .flights
        .iter()
        .map(|(direction, data)| Event::Bytes(*direction, data.clone()))
        .collect();
    let from = recorded.begun + from;
    let hole: usize = recorded.flights[from..from + lost]
        .iter()
        .map(|(_, d)| d.len())
        .sum();
    events.splice(from..from + lost, [Event::Gap(ToServer, hole as u64)]);
    events
}

#[test]
fn whole_records_that_are_missing_are_counted() {
    for recorded in chat() {
        for lost in [1, 5, 64] {
            let reading = read_events(&without(&recorded, 7, lost), &keys(&recorded.log));
            check_places(&reading, &recorded.said);
            assert_eq!(reading.next[0], 1000);
            assert_eq!(reading.runs[0].len(), 2);
            assert_eq!(reading.runs[0][0].1.len(), 70);
            assert_eq!(reading.runs[0][1].0, 70 + 10 * lost as u64);
            assert!(matches!(reading.facts().sealed, Sealed::Open { .. }));
        }
        // Too many: nothing more is said of that direction.
        let reading = read_events(&without(&recorded, 7, 65), &keys(&recorded.log));
        assert_eq!(reading.runs[0], [(0, recorded.said[0][..70].to_vec())]);
        assert!(
            reading.next[0] <= 1000,
            "but it is said that there was more"
        );
        assert!(reading.next[0] > 70);
        let sealed = reading.facts().sealed;
        assert!(
            matches!(sealed, Sealed::Lost { first: Some(_), .. }),
            "{sealed:?}"
        );
        assert_eq!(reading.interest, Interest::Bytes, "the other direction");
    }
}

#[test]
fn records_cut_short_by_the_snaplen_are_holes_of_their_content() {
    for recorded in chat() {
        let mut events = Vec::new();
        for (place, (direction, data)) in recorded.flights.iter().enumerate() {
            let cut = place >= recorded.begun && place % 3 == 0;
            let kept = if cut { 20 } else { data.len() };
            events.push(Event::Bytes(*direction, data[..kept].to_vec()));
            if cut {
                events.push(Event::Gap(*direction, (data.len() - kept) as u64));
            }
        }
        let reading = read_events(&events, &keys(&recorded.log));
        check_places(&reading, &recorded.said);
        assert_eq!(reading.next[0], 1000);
        assert!(reading.runs[0].len() > 30);
    }
}

#[test]
fn a_handshake_with_holes_is_opened_behind_them() {
    for recorded in chat() {
        // All that the client sends behind its hello until the first message is over.
        let place = recorded
            .flights
            .iter()
            .skip(1)
            .position(|(direction, _)| *direction == ToServer)
            .unwrap()
            + 1;
        let mut events = lose(&recorded.flights, &[(place, 0)]);
        let reading = read_events(&events, &keys(&recorded.log));
        assert_eq!(
            reading.clear(),
            recorded.said,
            "nothing of the conversation"
        );
        // And some of the messages with it.
        for event in &mut events[recorded.begun..recorded.begun + 3] {
            let Event::Bytes(direction, data) = event else {
                panic!("{event:?}");
            };
            *event = Event::Gap(*direction, data.len() as u64);
        }
        let reading = read_events(&events, &keys(&recorded.log));
        let [runs, _] = &reading.runs;
        assert_eq!(runs.len(), 1);
        let (start, run) = &runs[0];
        assert_eq!(run.as_slice(), &recorded.said[0][30..]);
        assert!(*start >= 30, "no less is missing: {start}");
    }
}

#[test]
fn an_answer_is_not_without_a_question() {
    for suite in suites() {
        let acts = [
            say(ToServer, b"one"),
            say(ToClient, b"first"),
            say(ToServer, b"two"),
            say(ToClient, b"second"),
            say(ToServer, b"three"),
            say(ToClient, b"third"),
        ];
        let recorded = Peers::new(suite).play(b"", &acts);
        let place = recorded.begun;
        for lost in [&[2][..], &[2, 4], &[0], &[0, 2]] {
            let lost: Vec<_> = lost.iter().map(|at| (place + at, 0)).collect();
            let mut reading = Reading::new();
            let keys = keys(&recorded.log);
            for (at, event) in lose(&recorded.flights, &lost).iter().enumerate() {
                reading.event(event, &keys);
                // When an answer is there, it is known that something was before it.
                if at == place + 1 || at == place + 3 {
                    let asked = (at - place).div_ceil(2) as u64;
                    assert!(reading.next[0] >= asked, "{lost:?} {at}");
                }
            }
            check_places(&reading, &recorded.said);
            if lost.last().unwrap().0 < place + 4 {
                assert_eq!(reading.next[0], 11);
            }
        }
        // At the end there may be nothing behind a hole to tell how much it was.
        let mut reading = read_events(
            &lose(&recorded.flights, &[(place + 4, 0), (place + 5, 0)]),
            &keys(&recorded.log),
        );
        assert_eq!(reading.next, [6, 11]);
        let keys = keys(&recorded.log);
        reading.sight.ended(ToServer, &keys, &mut reading.opened);
        reading.take();
        assert_eq!(
            reading.next,
            [7, 11],
            "before who reads it learns of its end"
        );
        reading.late(&keys);
        assert_eq!(reading.next, [7, 12]);
    }
}

/// TLS 1.2 counts records from the Finished message on, which says nothing in clear.
#[test]
fn a_finished_message_in_a_hole_is_no_part_of_it() {
    let mut seen = 0;
    for recorded in chat() {
        let place = recorded.begun - 2;
        let (direction, flight) = &recorded.flights[place];
        let Some(at) = memchr::memmem::find(flight, &[20, 3, 3, 0, 1, 1, 22, 3, 3]) else {
            continue;
        };
        assert_eq!(*direction, ToServer);
        seen += 1;
        for messages in [0, 1, 3] {
            let mut reading = Reading::new();
            let keys = keys(&recorded.log);
            for (number, (direction, data)) in recorded.flights.iter().enumerate() {
                let begun = recorded.begun..recorded.begun + messages;
                if number == place {
                    let (clear, rest) = data.split_at(at + 6);
                    reading.event(&Event::Bytes(*direction, clear.to_vec()), &keys);
                    reading.event(&Event::Gap(*direction, rest.len() as u64), &keys);
                } else if begun.contains(&number) {
                    reading.event(&Event::Gap(*direction, data.len() as u64), &keys);
                } else {
                    reading.event(&Event::Bytes(*direction, data.clone()), &keys);
                }
            }
            check_places(&reading, &recorded.said);
            assert_eq!(reading.runs[0].len(), 1);
            assert_eq!(reading.runs[0][0].0, 10 * messages as u64);
        }
    }
    assert_eq!(seen, 6, "suites of TLS 1.2");
}
