//! Sessions that ended inside a frame, and on which hop it is short.

use super::End;
use crate::capture::FrameRef;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::text::{capital, list};
use crate::hop::Hop;
use crate::tcp::{Direction, Side};

impl End<'_> {
    /// The first hop's frame that was not whole when the stream ended: its direction, where, and how many bytes are missing.
    fn cut_facts(&self) -> Option<(Direction, FrameRef, u64)> {
        self.hops()
            .filter(|hop| hop.record.connection.ended.is_some())
            .find_map(|hop| hop.session()?.cut_mid_frame)
    }

    /// The session ended inside a frame of this side, which ended it.
    pub(super) fn cut_by(&self, side: Side, how: &str) -> Option<Draft> {
        let (direction, ..) = self.cut_facts()?;
        (direction.sender() == side)
            .then(|| self.cut(how))
            .flatten()
    }

    /// A sentence, and another one if a frame was cut.
    pub(super) fn and_cut(&self, text: &str) -> String {
        match self.cut_facts() {
            Some((_, _, missing)) => {
                format!("{text} A frame was cut: {missing} bytes of it never came.")
            }
            None => text.to_owned(),
        }
    }

    /// The session ended inside a frame; `how` says who ended it.
    pub(super) fn cut(&self, how: &str) -> Option<Draft> {
        let (direction, frame, missing) = self.cut_facts()?;
        let is_short = |hop: &&Hop| hop.session().is_some_and(|s| s.cut_mid_frame.is_some());
        let named = |hops: Vec<&Hop>| {
            let names: Vec<String> = hops
                .iter()
                .map(|hop| {
                    let connection = &hop.record.connection;
                    format!("{} to {}", connection.client, connection.server)
                })
                .collect();
            list(&names)
        };
        let short: Vec<&Hop> = self.hops().filter(is_short).collect();
        let whole: Vec<&Hop> = self
            .hops()
            .filter(|hop| hop.session().is_some() && !is_short(hop))
            .collect();
        let sender = match direction.sender() {
            Side::Client => self.client(),
            Side::Server => self.backend(),
        };
        let place = if self.one_hop() {
            "Only one hop is in the capture.".to_owned()
        } else if whole
            .iter()
            .any(|hop| hop.session().is_some_and(|s| s.lost_sync.is_some()))
        {
            format!("It is cut on the hop {}.", named(short))
        } else if whole.is_empty() {
            "All hops are equally short: the sender stopped.".to_owned()
        } else {
            format!(
                "It is cut on the hop {} and whole on {}: what the sender sent was not delivered on.",
                named(short),
                named(whole)
            )
        };
        let text =
            format!("The session ended inside a frame of {sender}: {missing} bytes never came");
        let draft = self
            .draft(Code::CutMidFrame)
            .title(text.clone())
            .headline(format!("{text}; {how}"))
            .detail(format!("{place} {}.", capital(how)))
            .saw(frame, "the frame that was cut");
        Some(self.with_endings(draft))
    }
}
