//! Statements that take no part in a transaction: VACUUM, and indexes that are built while the app goes on writing.
//!
//! They run on a connection of their own. What has to be set for them is set as it is opened: a SET would stay in a connection
//! that a pooler hands on. A pooler that takes no settings gives a connection without; then the limits of the role hold.

use super::client::Client;
use super::settings::Settings;
use crate::error::{Stop, holds};
use crate::progress::{Event, Progress, interrupted};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to sleep between looks at who is waited for.
const POLL: Duration = Duration::from_millis(200);

/// Runs a statement and gives it up with [`Stop::Locked`] when it has waited for others for `patience` at one stretch: a lock that
/// is queued for stops those who come after. `client` is asked who they are.
pub fn run(
    client: &mut Client,
    settings: &Settings,
    statement: &str,
    patience: Duration,
    progress: &mut dyn Progress,
) -> Result<()> {
    let mut own = Client::connect_for_long(settings)?;
    // The connection behind a pooler is another for each statement: this one is known by its text.
    let tag = format!("agno-migrate {} {}", std::process::id(), started_at());
    let statement = format!("/* {tag} */ {statement}");
    let canceling = own.canceling();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let outcome = own.run(&statement);
            is_done.store(true, Ordering::Release);
            outcome
        });
        let mut waiting: Option<Instant> = None;
        let mut gave_up = None;
        while !is_done.load(Ordering::Acquire) {
            std::thread::sleep(POLL);
            // Whoever cannot be asked about is not waited for any less.
            let who = client.waited_for_by(&tag).ok().flatten();
            match (who, waiting) {
                (None, _) => waiting = None,
                (Some(who), None) => {
                    waiting = Some(Instant::now());
                    progress.on(Event::Waiting(format!("waiting for {who}")));
                }
                (Some(who), Some(since)) if since.elapsed() >= patience => {
                    gave_up = Some(who);
                    canceling();
                }
                _ => {}
            }
        }
        match (work.join(), gave_up) {
            (Ok(Err(_)), Some(who)) if !interrupted() => Err(Stop::Locked(holds(&who)).into()),
            (Ok(outcome), _) => outcome,
            (Err(_), _) => Err(anyhow::anyhow!("the statement was cut off: run the command again")),
        }
    })
}

/// Tells the statements of this process from those of another that had its number.
fn started_at() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
