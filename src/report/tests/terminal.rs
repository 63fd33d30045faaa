//! How a report stands on a terminal: its length, its width, its colours.

use super::*;

#[test]
fn a_failure_fits_one_screen() {
    for case in [fix::not_forwarded(), fix::idle(), fix::refused()] {
        let text = terminal(&report(&[case]), 100, false);
        assert!(text.lines().count() <= 45, "{text}");
    }
}

#[test]
fn a_healthy_capture_says_so_in_two_lines() {
    let text = terminal(&report(&[fix::healthy()]), 100, false);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains(", without a fault."), "{text}");
}

#[test]
fn what_came_up_beside_a_fault_is_not_without_one() {
    let mut healthy = fix::healthy();
    healthy.1.findings = fix::refused().1.findings;
    let text = terminal(&report(&[healthy]), 100, false);
    assert!(
        text.starts_with("OK") && !text.contains("without a fault"),
        "{text}"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut long = fix::not_forwarded();
    long.1.headline = format!("a {} b", "x".repeat(300));
    long.1.findings[0].nginx_snippet =
        format!("# {}\nif {};", "word ".repeat(60), "漢字 ".repeat(60)).into();
    long.1.findings[0].nginx_log = "y".repeat(250).leak();
    let cases = [long, fix::idle(), fix::refused(), fix::healthy()];
    for width in [64, 72, 80, 100, 132, 160] {
        for verbose in [false, true] {
            for text in [
                terminal(&report(&cases), width, verbose),
                terminal(&nothing(), width, verbose),
            ] {
                for line in text.lines() {
                    let columns = tabled::grid::util::string::get_string_width(line);
                    assert!(columns <= width, "{columns} > {width}: {line}");
                }
            }
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let report = report(&[fix::not_forwarded(), fix::idle()]);
    let options = table::Options {
        width: 100,
        color: true,
        verbose: false,
    };
    let colored = text(|out| table::write(&report, &options, out));
    assert!(colored.contains("\x1b["));
    let stripped = anstream::adapter::strip_str(&colored).to_string();
    let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    let plain = terminal(&report, 100, false);
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
}
