//! The ladder of a handshake as a drawing that needs no script.
//!
//! Places are computed here, in pixels; colours come from the style of the page.

use maud::{Markup, html};

use crate::report::ladder::Ladder;
use crate::report::view::{HandshakeView, Report};
use crate::report::words::{self, Frames};

/// The ladder as a drawing, in units of pixels.
pub(super) fn ladder(report: &Report, handshake: &HandshakeView, frames: &Frames<'_>) -> Markup {
    const LEFT: usize = 170;
    const COLUMN: usize = 290;
    const TOP: usize = 56;
    const STEP: usize = 30;
    const ARROW: usize = 6;
    let ladder = Ladder::of(report, handshake);
    if ladder.steps.is_empty() {
        return html! {};
    }
    let x = |place: usize| LEFT + place * COLUMN;
    let gap = ladder.gap_after();
    let y = |number: usize| {
        TOP + 24 + STEP * (number + usize::from(gap.is_some_and(|after| number > after)))
    };
    let width = x(ladder.parties.len().saturating_sub(1)) + 110;
    let height = y(ladder.steps.len()) + 4;
    html! {
        h3 { "On the wire" }
        div.wide {
            svg.ladder viewBox={ "0 0 " (width) " " (height) } width=(width) role="img"
                aria-label="Who sent what to whom, in order" {
                @for (place, party) in ladder.parties.iter().enumerate() {
                    text.party x=(x(place)) y="18" text-anchor="middle" { (party.name) }
                    text.address x=(x(place)) y="36" text-anchor="middle" { (party.address) }
                    line.life x1=(x(place)) y1=(TOP - 10) x2=(x(place)) y2=(height) {}
                }
                @for (number, step) in ladder.steps.iter().enumerate() {
                    @let (from, to) = (x(step.from), x(step.to));
                    @let at = y(number);
                    @let frame = step.event.frame;
                    @let head = if to > from { to.saturating_sub(ARROW) } else { to + ARROW };
                    @let bad = step.event.what == "RST";
                    g class=[bad.then_some("bad")] {
                        line.arrow x1=(from) y1=(at) x2=(to) y2=(at) {}
                        path.head d={
                            "M" (to) " " (at) " L" (head) " " (at - ARROW / 2 - 1) " L" (head) " " (at + ARROW / 2 + 1) " Z"
                        } {}
                        text.what x=(usize::midpoint(from, to)) y=(at - 5) text-anchor="middle" {
                            (words::shortened(&step.event.what, 40))
                        }
                        text.when x=(LEFT - 60) y=(at + 4) text-anchor="end" {
                            "#" (frame.number()) " " (frames.relative(frame.at, frame.capture().0))
                        }
                    }
                    @if gap == Some(number) {
                        text.when x=(LEFT) y=(at + STEP) { (ladder.hidden) " more steps" }
                    }
                }
            }
        }
    }
}
