//! What the program says about itself, word for word.

use crate::support::hop101;

fn says(args: &[&str]) -> String {
    let output = hop101().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_texts() {
    insta::assert_snapshot!("help", says(&["--help"]));
    insta::assert_snapshot!("help-short", says(&["-h"]));
    insta::assert_snapshot!("help-read", says(&["read", "--help"]));
    insta::assert_snapshot!("help-read-short", says(&["read", "-h"]));
    insta::assert_snapshot!("help-cut", says(&["cut", "--help"]));
    insta::assert_snapshot!("help-explain", says(&["explain", "--help"]));
}

#[test]
fn every_finding_is_explained() {
    insta::assert_snapshot!("explain", says(&["explain"]));
    insta::assert_snapshot!("explain-one", says(&["explain", "upgrade-not-forwarded"]));
    for line in says(&["explain"]).lines() {
        // A mark, a name, a title; lines below are indented.
        let Some(code) = line
            .strip_prefix(['✗', '!', '·'])
            .and_then(|rest| rest.split_whitespace().next())
        else {
            continue;
        };
        if code.contains('-') {
            let page = says(&["explain", code]);
            assert!(page.contains("Why") && page.contains("Fix"), "{page}");
        }
    }
}

#[test]
fn no_page_is_wider_than_a_terminal() {
    for args in [
        &["--help"][..],
        &["read", "--help"],
        &["cut", "--help"],
        &["explain"],
        &["explain", "idle-timeout"],
    ] {
        for line in says(args).lines() {
            assert!(line.chars().count() <= 100, "{args:?}: {line}");
        }
    }
}

#[test]
fn the_manual_and_completions_are_there() {
    let page = says(&["man"]);
    assert!(page.contains(".TH hop101"), "{page}");
    assert!(says(&["man", "read"]).contains("redact"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(says(&["completions", shell]).contains("fail-on"), "{shell}");
    }
}
