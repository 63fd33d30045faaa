//! The hops of a handshake side by side: what each was asked, what changed on the way, what it answered, how it ended.

use tabled::builder::Builder;
use tabled::settings::style::HorizontalLine;
use tabled::settings::{Style, Theme};

use super::super::column::{Answered, Asked, Column, Field};
use super::super::style::{Look, Page, columns, fit, pad};
use super::super::view::{ChangeView, HandshakeView, Report};
use super::super::words::{self, Frames};
use crate::capture::FrameRef;

/// The narrowest useful column: an IPv4 address with its port, and some air.
const COLUMN_MIN: usize = 23;

/// The widest: longer lines are hard to compare.
const COLUMN_MAX: usize = 56;

/// Headers besides the known ones whose changes are shown.
const OTHER_CHANGES_MAX: usize = 4;

/// A cell: lines of pieces, each in its look.
type Cell = Vec<Vec<(Look, String)>>;

/// Puts what is less important behind the last line of a cell if it fits there, else below it.
fn append(cell: &mut Cell, text: &str, width: usize) {
    let room = cell.last().map_or(0, |line| {
        let used: usize = line.iter().map(|(_, piece)| columns(piece)).sum();
        width.saturating_sub(used)
    });
    if columns(text) + 3 <= room
        && let Some(line) = cell.last_mut()
    {
        line.push((Look::Faint, format!(" · {text}")));
    } else {
        cell.extend(
            fit(text, width, 2)
                .into_iter()
                .map(|line| vec![(Look::Faint, line)]),
        );
    }
}

struct Row {
    label: &'static str,
    cells: Vec<Cell>,
    /// A rule stands above it.
    ruled: bool,
}

/// Draws the hops, in as many tables as the width asks for.
pub(super) fn draw(page: &mut Page, report: &Report, handshake: &HandshakeView, verbose: bool) {
    let frames = Frames::of(report, handshake);
    let all = Column::all(report, handshake);
    let label = 11;
    let room = page.width.saturating_sub(label + 4);
    let fitting = (room / (COLUMN_MIN + 3)).max(1);
    // Two tables of two read better than one of three and one of one.
    let tables = all.len().div_ceil(fitting).max(1);
    let each = all.len().div_ceil(tables).max(1);
    for (number, part) in all.chunks(each).enumerate() {
        if number > 0 {
            page.gap();
        }
        let width = (room / part.len().max(1)).saturating_sub(3).min(COLUMN_MAX);
        let rows = Layout {
            frames: &frames,
            width,
            verbose,
            up: handshake.verdict == "broken",
        }
        .rows(part);
        table(page, &rows, label, width);
    }
    if verbose && handshake.hops.iter().any(|hop| !hop.changes.is_empty()) {
        let legend = "✗ dropped · ≠ altered · + added: against the hop before";
        page.paragraph("  ", Look::Plain, Look::Faint, legend);
    }
}

struct Layout<'a> {
    frames: &'a Frames<'a>,
    width: usize,
    verbose: bool,
    /// The handshake itself went well: what it said is no part of the story.
    up: bool,
}

impl Layout<'_> {
    fn cell(&self, look: Look, text: &str, lines: usize) -> Cell {
        fit(text, self.width, lines)
            .into_iter()
            .map(|line| vec![(look, line)])
            .collect()
    }

    fn rows(&self, part: &[Column<'_>]) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut push = |label: &'static str, ruled: bool, cells: Vec<Cell>| {
            if cells
                .iter()
                .flatten()
                .flatten()
                .any(|(_, piece)| !piece.is_empty())
            {
                rows.push(Row {
                    label,
                    cells,
                    ruled,
                });
            }
        };
        let each = |cell: &dyn Fn(&Column<'_>) -> Cell| part.iter().map(cell).collect::<Vec<_>>();

        push("", false, each(&|column| self.heading(column)));
        push("request", true, each(&|column| self.request(column)));
        for &(label, header) in words::HEADERS {
            if self.verbose || (tells(part, header) && !self.up) || changed(part, header) {
                push(label, false, each(&|column| self.header(column, header)));
            }
        }
        push("other", false, each(&|column| self.others(column)));
        push("answer", true, each(&|column| self.answer(column)));
        let switched = |column: &Column<'_>| {
            column
                .hop()
                .is_some_and(|hop| hop.accept != "not-applicable")
        };
        if part.iter().any(switched) {
            push("Accept", false, each(&|column| self.accept(column)));
        }
        push("note", false, each(&|column| self.notes(column)));
        push("evidence", false, each(&|column| self.evidence(column)));
        push("ended", true, each(&|column| self.ended(column)));
        rows
    }

    fn heading(&self, column: &Column<'_>) -> Cell {
        let given_up = if column.given_up() {
            " · given up"
        } else {
            ""
        };
        let title = format!("{} {}{given_up}", column.ends(), column.id);
        let mut cell = self.cell(Look::Strong, &title, 1);
        let Some(connection) = column.connection else {
            return cell;
        };
        let client = words::named(&connection.client, connection.client_name.as_ref());
        let server = words::named(&connection.server, connection.server_name.as_ref());
        let line = format!("{client} → {server}");
        if columns(&line) <= self.width {
            cell.push(vec![(Look::Plain, line)]);
        } else {
            cell.extend(self.cell(Look::Plain, &client, 2));
            cell.extend(self.cell(Look::Plain, &format!("→ {server}"), 2));
        }
        let about = [
            words::tls(connection),
            column.joined(),
            words::interfaces(connection),
        ];
        for about in about.iter().filter(|about| !about.is_empty()) {
            cell.extend(self.cell(Look::Faint, about, 4));
        }
        if self.frames.several() {
            let files: Vec<&str> = connection
                .captures
                .iter()
                .map(|&capture| self.frames.file(capture))
                .collect();
            cell.extend(self.cell(Look::Faint, &files.join(", "), 1));
        }
        cell
    }

    fn evidence(&self, column: &Column<'_>) -> Cell {
        let lacks = column.connection.map(words::evidence_lacks);
        self.cell(Look::Odd, &lacks.unwrap_or_default(), 3)
    }

    fn request(&self, column: &Column<'_>) -> Cell {
        let request = match column.asked() {
            Asked::Request(request) => request,
            Asked::Sealed(record) => return self.sealed(record),
            Asked::Unseen(what) => return self.cell(Look::Faint, what, 2),
            Asked::Never(what) => return self.cell(Look::Bad, &format!("✗ {what}"), 1),
        };
        let line = format!(
            "{} {} HTTP/{}",
            request.method, request.target, request.http_version
        );
        let mut changes = column.hop().into_iter().flat_map(|hop| &hop.changes);
        let altered =
            changes.any(|change| matches!(change.header, "HTTP version" | "method" | "target"));
        let mut cell = if altered {
            self.cell(Look::Odd, &format!("≠ {line}"), 3)
        } else {
            self.cell(Look::Plain, &line, 3)
        };
        append(&mut cell, &self.frames.at(request.at_frame), self.width);
        cell
    }

    /// A head inside TLS: all that shows is the record that carried it.
    fn sealed(&self, record: FrameRef) -> Cell {
        let mut cell = self.cell(Look::Faint, "inside TLS", 1);
        append(&mut cell, &self.frames.at(record), self.width);
        cell
    }

    fn header(&self, column: &Column<'_>, name: &str) -> Cell {
        match column.field(name) {
            Field::Nothing => Vec::new(),
            Field::Same(value) => self.cell(Look::Plain, &value, 2),
            Field::Dropped => self.cell(Look::Bad, "✗ dropped", 1),
            Field::Altered(value) => self.cell(Look::Odd, &format!("≠ {value}"), 2),
            Field::Added(value) => self.cell(Look::Odd, &format!("+ {value}"), 2),
            Field::Missing => self.cell(Look::Bad, "✗ missing", 1),
            Field::Invalid(value) => self.cell(Look::Bad, &format!("✗ {value} (invalid)"), 2),
        }
    }

    fn others(&self, column: &Column<'_>) -> Cell {
        let Some(hop) = column.hop() else {
            return Vec::new();
        };
        let others: Vec<&ChangeView> = hop
            .changes
            .iter()
            .filter(|change| {
                !words::HEADERS
                    .iter()
                    .any(|(_, header)| *header == change.header)
                    && !matches!(change.header, "HTTP version" | "method" | "target")
            })
            .collect();
        let mut cell: Cell = others
            .iter()
            .take(OTHER_CHANGES_MAX)
            .flat_map(|change| {
                let (mark, value) = match change.kind {
                    "dropped" => ("✗", None),
                    "altered" => ("≠", change.after.as_deref()),
                    _ => ("+", change.after.as_deref()),
                };
                let text = match value {
                    Some(value) => format!("{mark} {}: {value}", change.header),
                    None => format!("{mark} {}", change.header),
                };
                self.cell(Look::Odd, &text, 1)
            })
            .collect();
        if others.len() > OTHER_CHANGES_MAX {
            let more = others.len() - OTHER_CHANGES_MAX;
            cell.push(vec![(Look::Faint, format!("and {more} more"))]);
        }
        cell
    }

    fn answer(&self, column: &Column<'_>) -> Cell {
        let response = match column.answered() {
            Answered::Response(response) => response,
            Answered::Sealed(record) => return self.sealed(record),
            Answered::Unseen(what) => return self.cell(Look::Faint, what, 2),
            Answered::None(instead) => {
                return self.cell(Look::Bad, &format!("✗ {instead}"), 2);
            }
        };
        let up = response.status == 101;
        let look = if up { Look::Good } else { Look::Bad };
        let mut cell = self.cell(look, &format!("{} {}", response.status, response.reason), 2);
        append(&mut cell, &self.frames.at(response.at_frame), self.width);
        if let Some(server) = &response.server {
            append(&mut cell, server, self.width);
        }
        if up {
            // RFC 6455 4.1: both must be there, or the client fails the connection.
            let has = |value: &Option<String>, token: &str| {
                value.as_deref().is_some_and(|value| {
                    value
                        .split(',')
                        .any(|item| item.trim().eq_ignore_ascii_case(token))
                })
            };
            if !has(&response.upgrade, "websocket") {
                let got = response.upgrade.as_deref().unwrap_or("missing");
                cell.extend(self.cell(Look::Bad, &format!("✗ Upgrade: {got}"), 1));
            }
            if !has(&response.connection, "upgrade") {
                let got = response.connection.as_deref().unwrap_or("missing");
                cell.extend(self.cell(Look::Bad, &format!("✗ Connection: {got}"), 1));
            }
        }
        cell
    }

    fn accept(&self, column: &Column<'_>) -> Cell {
        let Some(hop) = column.hop() else {
            return Vec::new();
        };
        if hop.response.is_none() {
            return Vec::new();
        }
        let look = match hop.accept {
            "valid" => Look::Good,
            "mismatch" | "missing" => Look::Bad,
            _ => Look::Faint,
        };
        self.cell(look, &words::accept(hop), 3)
    }

    fn notes(&self, column: &Column<'_>) -> Cell {
        let Some(hop) = column.hop() else {
            return Vec::new();
        };
        hop.notes
            .iter()
            .flat_map(|note| self.cell(Look::Odd, note, 3))
            .collect()
    }

    fn ended(&self, column: &Column<'_>) -> Cell {
        let Some((how, at)) = column.ended(self.frames) else {
            return self.cell(Look::Faint, "not listed", 1);
        };
        let look = match column.connection.map(|connection| connection.ended.how) {
            Some("rst") => Look::Bad,
            Some("fin") => Look::Plain,
            _ => Look::Faint,
        };
        let mut cell = self.cell(look, &how, 2);
        if let Some(at) = at {
            append(&mut cell, &at, self.width);
        }
        cell
    }
}

/// Whether a field is worth a row: version 13 everywhere and offers that nobody touched say nothing about a failure.
fn tells(part: &[Column<'_>], header: &str) -> bool {
    part.iter().any(|column| {
        let Some(hop) = column.hop() else {
            return false;
        };
        hop.request.as_ref().is_some_and(|request| match header {
            "Sec-WebSocket-Version" => request.ws_version.as_deref() != Some("13"),
            "Sec-WebSocket-Extensions" => hop
                .response
                .as_ref()
                .is_some_and(|response| !response.extensions.is_empty()),
            _ => true,
        })
    })
}

/// Whether a field changed on the way.
fn changed(part: &[Column<'_>], header: &str) -> bool {
    part.iter()
        .filter_map(Column::hop)
        .any(|hop| hop.changes.iter().any(|change| change.header == header))
}

/// Draws the rows with rounded borders; every cell is filled up to its width, so that colours cannot shift anything.
fn table(page: &mut Page, rows: &[Row], label: usize, width: usize) {
    let mut builder = Builder::default();
    let mut theme = Theme::from_style(Style::rounded().remove_horizontals());
    for (number, row) in rows.iter().enumerate() {
        if row.ruled {
            theme.insert_horizontal_line(number, HorizontalLine::inherit(Style::modern_rounded()));
        }
        let height = row.cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let mut record = vec![pad(&page.paint(Look::Faint, row.label), label)];
        for cell in &row.cells {
            let lines: Vec<String> = (0..height)
                .map(|line| {
                    let pieces: String = cell
                        .get(line)
                        .into_iter()
                        .flatten()
                        .map(|(look, text)| page.paint(*look, text))
                        .collect();
                    pad(&pieces, width)
                })
                .collect();
            record.push(lines.join("\n"));
        }
        builder.push_record(record);
    }
    let mut table = builder.build();
    table.with(theme);
    page.raw(&table.to_string());
}
