//! What it may do, and the evidence that it writes without being root any more.

use super::*;

#[test]
fn without_the_capability_it_says_how_to_grant_it() {
    let Some(space) = Space::new() else { return };
    if !have("setpriv") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_hop101");
    let output = space
        .inside(&[
            "setpriv",
            "--bounding-set=-net_raw",
            "--inh-caps=-net_raw",
            program,
            "live",
            "-i",
            "lo",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("sudo setcap cap_net_raw+ep $(which hop101)"),
        "{said}"
    );
}

#[test]
fn privileges_are_gone_before_packets_are_looked_into() {
    let Some(space) = Space::new() else { return };
    // The folder must be passable for the one that it becomes.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(space.folder.path(), mode).unwrap();
    let live = space.live("-i lo -Z nobody -v --evidence kept -w all.pcapng --report r.json");
    let status = std::fs::read_to_string(format!("/proc/{}/status", live.child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), ["65534"; 4]);
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:", "CapBnd:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert!(live.said.contains("runs as nobody"), "{}", live.said);
    space.refuse(1);
    live.line_with("FAILED");
    let (status, _, said) = live.stop();
    assert_eq!(status.code(), Some(1), "{said}");
    let files: Vec<PathBuf> = std::fs::read_dir(space.path("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}");
    };
    let owner =
        |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    for path in [file, &space.path("all.pcapng"), &space.path("r.json")] {
        assert_eq!(owner(path), 65534, "{}", path.display());
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        name.contains("Z-127.0.0.1-") && name.ends_with("-forbidden.pcapng"),
        "{name}"
    );
    // From the SYN to the end, and it tells the same story.
    let (report, _) = read_json(std::slice::from_ref(file), &[]);
    assert_eq!(report["handshakes"][0]["cause"], "forbidden");
    assert_eq!(report["connections"][0]["opening"], "complete");
    assert_eq!(report["connections"][0]["ended"]["how"], "fin");
}

#[test]
fn evidence_stays_within_its_limits() {
    let Some(space) = Space::new() else { return };
    let live = space.live("-i lo --evidence kept --evidence-files 3 -Z root");
    space.refuse(8);
    for _ in 0..8 {
        live.line_with("FAILED");
    }
    live.stop();
    assert_eq!(std::fs::read_dir(space.path("kept")).unwrap().count(), 3);
}
