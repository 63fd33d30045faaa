//! The fuzz targets without a fuzzer: the kept corpora as they are, and mutated at random. Runs on any compiler.

use std::fs;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::support::root;

#[path = "../fuzz/hooks.rs"]
mod hooks;

/// What once failed is tried first.
const SEEDS_KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/fuzzed.seeds");

/// The kept inputs of a target.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("tests/fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_hook_is_a_target_with_a_corpus() {
    for (target, _) in hooks::HOOKS {
        assert!(corpus(target).len() >= 2, "{target}");
        let manifest = fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target}"
        );
    }
}

#[test]
fn kept_inputs_pass() {
    for (target, hook) in hooks::HOOKS {
        for (path, bytes) in corpus(target) {
            println!("{}", path.display());
            hook(&bytes);
            // Cut anywhere, too.
            for end in 0..bytes.len() {
                hook(&bytes[..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS_KEPT))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_inputs_pass(
        target in 0..hooks::HOOKS.len(),
        seed in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
        splice in any::<Option<(prop::sample::Index, prop::sample::Index)>>(),
    ) {
        let (name, hook) = hooks::HOOKS[target];
        let corpus = corpus(name);
        let mut bytes = corpus[seed.index(corpus.len())].1.clone();
        if let Some((from, to)) = splice {
            let other = &corpus[other.index(corpus.len())].1;
            bytes.truncate(from.index(bytes.len()));
            bytes.extend(&other[to.index(other.len())..]);
        }
        if !bytes.is_empty() {
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        hook(&bytes);
    }
}
