//! agno-migrate moves the databases of Agno, the Python agent framework, between schema versions.
//!
//! [`schema`] declares what each version wants. A [`backend`] observes what a table has, [`plan`] compares the two, the
//! dialect writes what is to be done as SQL, [`engine`] walks over tables and versions and runs it, [`report`] is what the
//! user is told. [`commands`] puts these together, one short function per command; docs/architecture.md has the reasons.

pub mod archive;
pub mod backend;
pub mod cleanup;
pub mod cli;
pub mod commands;
pub mod convert;
pub mod difference;
pub mod discover;
pub mod engine;
pub mod environment;
pub mod error;
pub mod guards;
pub mod manual;
pub mod plan;
pub mod progress;
pub mod report;
pub mod rows;
pub mod saving;
pub mod schema;
pub mod stamps;
pub mod terminal;
pub mod usage;
pub mod v1;
pub mod verify;
