//! What findings mean, for a terminal: the list of all, or one in full.

use super::style::{Look, Page, columns, pad};
use super::table::Options;
use crate::diagnosis::{Code, Entry, Severity};

/// Where the text of a section begins.
const INDENT: usize = 14;

/// Every one of these findings with its title, a line each.
pub fn list(codes: &[Code], options: &Options) -> String {
    let mut page = Page::new(options.width(), options.color);
    let widest = codes
        .iter()
        .map(|code| columns(code.as_str()))
        .max()
        .unwrap_or(0);
    for &code in codes {
        let entry = code.entry();
        let look = look(entry.severity);
        let mark = page.paint(look, mark(entry.severity));
        let name = page.paint(Look::Strong, code.as_str());
        let lead = format!("{mark} {}  ", pad(&name, widest));
        page.paragraph(&lead, Look::Plain, Look::Plain, entry.title);
    }
    page.gap();
    page.paragraph(
        "",
        Look::Plain,
        Look::Faint,
        "✗ error · ! warning · · info. Explain one with 'hop101 explain CODE'.",
    );
    page.finish()
}

/// A finding in full.
pub fn page(code: Code, options: &Options) -> String {
    let entry = code.entry();
    let mut page = Page::new(options.width(), options.color);
    let head = format!("{}  ", code.as_str());
    page.paragraph(&head, look(entry.severity), Look::Strong, entry.title);
    page.paragraph("", Look::Plain, Look::Plain, entry.meaning);
    page.gap();
    for (label, text) in sections(entry) {
        if !text.is_empty() {
            let lead = pad(label, INDENT);
            page.paragraph(&lead, Look::Strong, Look::Plain, text);
        }
    }
    let snippet = entry.snippet();
    if !snippet.is_empty() {
        page.gap();
        page.paragraph("", Look::Plain, Look::Strong, "In nginx's configuration");
        page.code(4, &snippet);
    }
    if !entry.source.is_empty() {
        page.gap();
        page.paragraph("See ", Look::Faint, Look::Faint, entry.source);
    }
    page.finish()
}

const fn sections(entry: &Entry) -> [(&'static str, &'static str); 5] {
    [
        ("Client hop", entry.client_hop),
        ("Backend hop", entry.backend_hop),
        ("Why", entry.why),
        ("Fix", entry.fix),
        ("nginx logs", entry.log),
    ]
}

const fn look(severity: Severity) -> Look {
    match severity {
        Severity::Error => Look::Bad,
        Severity::Warning => Look::Odd,
        Severity::Info => Look::Faint,
    }
}

const fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "✗",
        Severity::Warning => "!",
        Severity::Info => "·",
    }
}
