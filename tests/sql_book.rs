//! The SQL of every version, both ways, for reviewers: what runs on tables as real releases make them. After a change that is
//! meant, `INSTA_UPDATE=always cargo test --test sql_book` writes the book anew.

mod support;

use support::{Kind, kinds};

/// The release that makes the tables a version starts from, and the version.
const UP: [(&str, &str); 4] = [("2.2.13", "2.3.0"), ("2.4.8", "2.5.0"), ("2.5.5", "2.5.6"), ("2.9.0", "3.0.0")];
const DOWN: [(&str, &str); 4] = [("3.1.10", "2.5.6"), ("2.9.0", "2.5.0"), ("2.5.5", "2.3.0"), ("2.4.8", "2.0.0")];

/// A plan, without the time it was made.
fn page(kind: Kind, release: &str, version: &str) -> String {
    let database = kind.fresh(release);
    let plan = database.run(&["plan", version]).to_text();
    // The only number of ten digits in it is the second the command started.
    let mut text = String::new();
    for word in plan.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = word.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        text.push_str(&if digits.len() == 10 { word.replace(digits, "{now}") } else { word.to_owned() });
    }
    text
}

/// One server stands for all: their SQL is the same.
fn books() -> impl Iterator<Item = (&'static str, Kind)> {
    ["sqlite", "postgres"].into_iter().zip(kinds())
}

#[test]
fn up() {
    for (book, kind) in books() {
        for (release, version) in UP {
            insta::assert_snapshot!(format!("{book}_up_{version}"), page(kind, release, version));
        }
    }
}

#[test]
fn down() {
    for (book, kind) in books() {
        for (release, version) in DOWN {
            insta::assert_snapshot!(format!("{book}_down_{version}"), page(kind, release, version));
        }
    }
}
