//! Compressed messages: allowed where the 101 agreed on them, and inflated up to a limit.

use super::*;

#[test]
fn rsv1_is_allowed_where_it_was_agreed_on() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(
        deflated(&[client(0xc1, hello), server(0xc1, hello)]).faults,
        []
    );
    let facts = deflated(&[client(0x41, [0xf2, 0x48]), client(0xc0, [0xcd])]);
    assert_eq!(rules(&facts), [(Rule::Rsv1, Side::Client, 0)]);
    let facts = deflated(&[client(0xc2, [0xff; 9])]);
    assert_eq!(rules(&facts), [(Rule::DoesNotInflate, Side::Client, 1)]);
    // Fragments and a ping between them.
    let facts = deflated(&[
        client(0x41, &hello[..3]),
        client(0x89, ""),
        client(0x80, &hello[3..]),
    ]);
    assert_eq!(facts.faults, []);
    assert!(facts.deflate);
}

#[test]
fn what_the_101_agreed_on_decides_about_rsv1() {
    use crate::http::Fields;
    let faults = |value: Option<&str>| {
        let fields: Vec<_> = value
            .map(|v| ("Sec-WebSocket-Extensions", v))
            .into_iter()
            .collect();
        let fields = Fields::of(&fields);
        let mut session = Session::behind(frame_ref(1), &fields, Depth::BOUNDED);
        run(
            &mut session,
            &[client(0xc1, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])],
        )
        .faults
        .len()
    };
    assert_eq!(faults(None), 1);
    assert_eq!(faults(Some("permessage-deflate")), 0);
    assert_eq!(faults(Some("x-webkit-deflate-frame")), 0);
}

#[test]
fn where_compressed_messages_are_only_counted_is_told() {
    let empty = server(0xc1, [0]);
    let mut steps: Vec<Step> = (0..Depth::BOUNDED.messages)
        .map(|_| empty.clone())
        .collect();
    assert_eq!(deflated(&steps).inflation_stopped, None);
    steps.push(empty);
    let all = deflated(&steps);
    assert_eq!(
        all.inflation_stopped,
        Some((ToClient, frame_ref(u64::from(Depth::BOUNDED.messages) + 2)))
    );
    assert_eq!(
        all.to_client.messages,
        u64::from(Depth::BOUNDED.messages) + 1
    );
    assert_eq!(rules(&all), []);
}
