//! Which Agno release speaks which schema, and what a user may say for a version.

use super::versions::{MIGRATIONS, newest};
use pep440_rs::Version as PythonVersion;
use semver::Version;
use std::str::FromStr;

/// The newest Agno release these migrations were checked against. A newer one may have a schema that is not known here.
pub const NEWEST_RELEASE: Version = Version::new(3, 1, 10);

/// The schema version a user named, by itself or by an Agno release that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(
    /// One of the versions in [`MIGRATIONS`].
    pub Version,
);

impl FromStr for Target {
    type Err = String;

    /// `v2.3.0`, `2.3.0`, `2.3`, `latest`, any Agno release up to [`NEWEST_RELEASE`], or a pre-release of one in PEP 440 form,
    /// which counts as the release it leads to.
    ///
    /// # Errors
    /// Anything else, with the list of schema versions and their releases.
    fn from_str(said: &str) -> Result<Target, String> {
        if said.eq_ignore_ascii_case("latest") {
            return Ok(Target(newest().clone()));
        }
        let known = format!("; known are:\n{}", list());
        // As pip and its lists write it.
        let bare = said.trim().trim_start_matches("agno").trim_start_matches(['=', ' ']);
        let python = PythonVersion::from_str(bare).map_err(|_| format!("'{said}' is not a version{known}"))?;
        let part = |at: usize| python.release().get(at).copied().unwrap_or(0);
        let release = Version::new(part(0), part(1), part(2));
        if python.epoch() != 0 || python.is_local() || python.release().len() > 3 {
            return Err(format!("'{said}' is no Agno release{known}"));
        }
        if release > NEWEST_RELEASE {
            return Err(format!(
                "Agno {release} is newer than {NEWEST_RELEASE}, the newest release this agno-migrate was checked against{known}"
            ));
        }
        match schema_of(&release) {
            Some(version) => Ok(Target(version.clone())),
            None => Err(format!("there is no schema {release}: the oldest is 2.0.0, and v1 has its own tables{known}")),
        }
    }
}

/// The schema of a release: the newest version that is not newer than it.
pub fn schema_of(release: &Version) -> Option<&'static Version> {
    MIGRATIONS.iter().rev().map(|migration| &migration.version).find(|version| *version <= release)
}

/// The releases that have a schema version, for people: `2.3.0 to 2.4.x`.
pub fn releases_of(version: &Version) -> String {
    let next = MIGRATIONS.iter().map(|migration| &migration.version).find(|later| *later > version);
    match next {
        None => format!("{version} to {NEWEST_RELEASE}"),
        Some(next) if next.patch > 0 => format!("{version} to {}.{}.{}", next.major, next.minor, next.patch - 1),
        Some(next) if next.minor > 0 => format!("{version} to {}.{}.x", next.major, next.minor - 1),
        Some(next) => format!("{version} to {}.x", next.major - 1),
    }
}

/// A line per schema version, with its releases.
pub fn list() -> String {
    MIGRATIONS
        .iter()
        .map(|migration| format!("  v{}  Agno {}", migration.version, releases_of(&migration.version)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_says_becomes_a_schema() {
        for (said, schema) in [
            ("v2.3.0", "2.3.0"),
            ("2.3.0", "2.3.0"),
            ("2.3", "2.3.0"),
            ("3", "3.0.0"),
            ("latest", "3.0.0"),
            ("2.9.0", "2.5.6"),
            ("v2.5.5", "2.5.0"),
            ("2.0.11", "2.0.0"),
            ("3.1.10", "3.0.0"),
            ("3.0.0a1", "3.0.0"),
            ("2.5.6rc2", "2.5.6"),
            ("2.3.0.post1", "2.3.0"),
            (" 2.4.8 ", "2.3.0"),
            ("agno==3.1.10", "3.0.0"),
            ("agno 2.9.0", "2.5.6"),
        ] {
            assert_eq!(said.parse::<Target>().map(|t| t.0.to_string()), Ok(schema.to_owned()), "{said}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_list() {
        for said in ["", "abc", "1.8.4", "0", "3.1.11", "4.0", "99999999999999999999", "2.3.0.1", "1!2.3.0", "2.3+x", "-1"] {
            let refused = said.parse::<Target>().expect_err(said);
            assert!(refused.contains("v2.5.6  Agno 2.5.6 to 2.x"), "{refused}");
        }
    }
}
