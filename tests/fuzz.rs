//! Whatever a user hands over: URLs, and files with damaged pages. More cases: `tests/fuzz`.

mod support;

use agno_migrate::backend::postgres::settings::{Settings, Surroundings};
use agno_migrate::backend::{name_of, url};
use proptest::prelude::*;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// An environment with nothing in it.
struct Nothing;

impl Surroundings for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn private_file(&self, _: &Path) -> Option<String> {
        None
    }
    fn exists(&self, _: &Path) -> bool {
        false
    }
}

/// With characters that are in no scheme.
const SECRET: &str = "x:hunter2!@";

/// URLs, and what is nearly one.
fn urls() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(SECRET.to_owned()),
        Just("postgresql+psycopg://".to_owned()),
        Just("sqlite:///".to_owned()),
        "[a-z%@:/?#&=,\\[\\]. +\\-\u{e9}0-9]{0,12}",
        Just("%zz".to_owned()),
        Just("?sslmode=require".to_owned()),
        Just("&host=/tmp".to_owned()),
        Just("options=-csearch_path%3dx".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// What failed is printed, small: no file of it is kept.
fn cases(fewer: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: (usual.cases / fewer).max(1), failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn no_text_is_too_odd_for_a_url(text in urls()) {
        if let Err(stop) = url::parse(&text) {
            prop_assert!(!stop.to_string().contains("hunter2!"), "{stop}");
        }
        if let Err(stop) = Settings::read(&text, &Nothing) {
            prop_assert!(!stop.to_string().contains("hunter2!"), "{stop}");
        }
        let _ = name_of(&text);
    }

    #[test]
    fn a_password_is_read_as_it_is_and_never_shown(password in "[ -~]{1,20}") {
        let encoded = percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC).to_string();
        let settings = Settings::read(&format!("me:{encoded}@host:5/db"), &Nothing);
        let settings = settings.map_err(|stop| TestCaseError::fail(stop.to_string()))?;
        prop_assert_eq!(settings.password.as_deref(), Some(password.as_str()));
        let without = Settings::read("me@host:5/db", &Nothing).map(|settings| settings.name());
        prop_assert_eq!(Some(settings.name()), without.ok());
    }
}

/// The databases that real Agno wrote.
fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = |folder: PathBuf| std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<PathBuf> = files(folder.join("sqlite")).chain(files(folder.join("v1/sqlite"))).collect();
    all.retain(|path| path.extension().is_some_and(|end| end == "db"));
    all.sort();
    all
}

/// Runs a command and returns its exit code and what it says; one that does not end is a failure.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut said = tempfile::tempfile().expect("a file");
    // A file, not a pipe: that could be full while we wait.
    let stderr = Stdio::from(said.try_clone().expect("a file"));
    let mut child = support::binary().args(arguments).stdout(Stdio::null()).stderr(stderr).spawn().expect("runs");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("waits") {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{arguments:?} does not end");
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut text = Vec::new();
    said.rewind().and_then(|()| said.read_to_end(&mut text)).expect("reads");
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// What is done to a file: the place, as a share of its length, and the bytes that go there.
type Damage = Vec<(f64, Vec<u8>)>;

fn damage() -> impl Strategy<Value = (usize, Damage, Option<f64>)> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..64),
        Just(vec![0; 512]),
        Just(vec![0xff; 512]),
        Just(vec![0; 4096])
    ];
    let places = proptest::collection::vec((0.0..1.0, bytes), 0..6);
    (any::<usize>(), places, proptest::option::weighted(0.2, 0.0..1.0))
}

proptest! {
    // Eleven processes a case.
    #![proptest_config(cases(16))]

    #[test]
    fn damaged_files_end_with_a_message((which, places, cut) in damage()) {
        let fixtures = fixtures();
        let mut bytes = std::fs::read(&fixtures[which % fixtures.len()]).expect("reads");
        for (share, damage) in places {
            let at = (bytes.len() as f64 * share) as usize;
            let end = (at + damage.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&damage[..end - at]);
        }
        if let Some(share) = cut {
            bytes.truncate((bytes.len() as f64 * share) as usize);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("agno.db");
        let (path, other) = (file.to_str().expect("UTF-8"), folder.path().join("other.db"));
        let other = other.to_str().expect("UTF-8");
        std::fs::write(&file, &bytes).expect("writes");
        let reading: [&[&str]; 6] = [
            &["current", "--check"],
            &["status"],
            &["plan"],
            &["verify"],
            &["up", "--dry-run"],
            &["cleanup", "--dry-run"],
        ];
        let changing: [&[&str]; 5] = [
            &["v1-to-v2", "--to", "2.5.6", "--from"],
            &["up"],
            &["cleanup", "--yes"],
            &["down", "2.0.0", "--yes"],
            &["up"],
        ];
        for (arguments, changes) in reading.iter().map(|a| (a, false)).chain(changing.iter().map(|a| (a, true))) {
            let mut words = arguments.to_vec();
            words.extend(if words[0] == "v1-to-v2" { vec![path, "--db", other] } else { vec!["--db", path] });
            let (code, stderr) = run(&words);
            prop_assert!(matches!(code, Some(0 | 1 | 3 | 4 | 6)), "{:?}: {:?} {}", words, code, stderr);
            prop_assert!(code != Some(1) || stderr.contains("error:") || stderr.contains("warning:"), "{:?}: {}", words, stderr);
            prop_assert!(!stderr.contains("panicked"), "{:?}: {}", words, stderr);
            if !changes {
                prop_assert!(std::fs::read(&file).expect("reads") == bytes, "{:?} changed the file", words);
            }
        }
    }
}
