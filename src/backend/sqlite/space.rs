//! Copies of the file, and space given back to the disk.

use super::open::connect;
use crate::backend::{Vacuumed, megabytes};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::{Context, Result, anyhow};
use jiff::ZonedDateTime;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Pages a step copies: between two steps progress is told and Ctrl-C is heard.
const PAGES_A_STEP: i32 = 2000;

/// Free bytes of the disk that a folder is on.
pub fn free(folder: &Path) -> Result<u64> {
    fs4::available_space(folder).with_context(|| format!("cannot tell the free space of {}", folder.display()))
}

/// The folder of a file.
pub fn folder_of(path: &Path) -> Result<PathBuf> {
    Ok(std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default())
}

/// Bytes of the database: all of it, and those in use.
fn size(connection: &Connection) -> Result<(u64, u64)> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let (page, pages, unused) = (number("page_size")?, number("page_count")?, number("freelist_count")?);
    Ok((page * pages, page * (pages - unused)))
}

/// Copies the database with what is in its log, as it is at the first moment, and lets others read meanwhile. The copy has
/// a name of its own until it is whole.
pub fn backup(
    connection: &Connection,
    path: &Path,
    to: Option<&Path>,
    wait: Duration,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let target = backup_file(connection, path, to)?;
    let shown = target.display();
    // A state that stays: without it the copy would begin again whenever the app writes.
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    let filled = fill(connection, path, &target, wait, progress);
    connection.execute_batch("ROLLBACK")?;
    let named = filled.and_then(|partial| name_it(partial, target.clone(), &mut names(path, to)));
    named.with_context(|| format!("the backup {shown}"))
}

/// The file that [`backup`] makes.
pub fn backup_file(connection: &Connection, path: &Path, to: Option<&Path>) -> Result<PathBuf> {
    let target = names(path, to).next().unwrap_or_default();
    let shown = target.display();
    if target.exists() {
        return Err(
            Stop::Refused(format!("{shown} is there already, and a backup never writes over a file: name another")).into()
        );
    }
    let folder = folder_of(&target)?;
    if !folder.is_dir() {
        return Err(Stop::Refused(format!("there is no folder {}: make it, or name another place", folder.display())).into());
    }
    let (needed, _) = size(connection)?;
    let free = free(&folder)?;
    if free < needed {
        return Err(anyhow!(Stop::Refused(format!(
            "it needs {} MB and {} MB are free on its disk: make room, or name another place with --backup PATH",
            megabytes(needed),
            // Rounded the other way: what is needed and what is free never look the same.
            free / 1_000_000
        )))
        .context(format!("the backup {shown}")));
    }
    Ok(target)
}

/// The name of a backup, and those that it may have as well.
fn names(path: &Path, to: Option<&Path>) -> Box<dyn Iterator<Item = PathBuf>> {
    let folder = match to {
        Some(folder) if folder.is_dir() => folder.to_owned(),
        Some(file) => return Box::new(std::iter::once(file.to_owned())),
        None => path.with_file_name(""),
    };
    let file = path.file_name().unwrap_or_default().to_owned();
    let time = ZonedDateTime::now().strftime("%Y%m%dT%H%M%S").to_string();
    // Several in a second have names of their own.
    let ends = std::iter::once(time.clone()).chain((2..).map(move |n| format!("{time}-{n}")));
    let files = ends.map(move |end| {
        let mut name = file.clone();
        name.push(format!(".backup-{end}"));
        folder.join(name)
    });
    Box::new(files.filter(|file| !file.exists()))
}

/// Gives the copy its name, or the next one when something has that by now.
fn name_it(mut partial: NamedTempFile, mut target: PathBuf, names: &mut dyn Iterator<Item = PathBuf>) -> Result<PathBuf> {
    while let Err(failed) = partial.persist_noclobber(&target) {
        if failed.error.kind() != ErrorKind::AlreadyExists {
            return Err(anyhow!(failed.error).context(format!("cannot name it {}", target.display())));
        }
        target = names
            .next()
            .ok_or_else(|| Stop::Refused("something has its name by now: name another with --backup PATH".to_owned()))?;
        partial = failed.file;
    }
    // The name is on the disk before anything is changed.
    let folder = fs::File::open(folder_of(&target)?).and_then(|folder| folder.sync_all());
    folder.context("cannot write its folder to the disk")?;
    Ok(target)
}

/// Copies the database to a new file beside `target`, which goes away again unless it is given a name.
fn fill(
    connection: &Connection,
    path: &Path,
    target: &Path,
    wait: Duration,
    progress: &mut dyn Progress,
) -> Result<NamedTempFile> {
    let folder = folder_of(target)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".partial-");
    let partial = tempfile::Builder::new().prefix(&name).tempfile_in(&folder);
    let partial = partial.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => anyhow::Error::from(Stop::Refused(format!(
            "no file can be made in {} ({error}): allow it, or name another place with --backup PATH",
            folder.display(),
            error = error.kind()
        ))),
        _ => anyhow!(error).context(format!("cannot make a file in {}", folder.display())),
    })?;
    // Who may not read the database may not read its copy.
    partial.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    let mut copy = connect(partial.path(), OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
    // A copy that is cut off is never used: nothing has to bring it back.
    copy.pragma_update(None, "journal_mode", "OFF")?;
    let mut busy_since: Option<Instant> = None;
    let backup = Backup::new(connection, &mut copy)?;
    progress.on(Event::Table { name: path.display().to_string(), work: "being backed up".to_owned() });
    let mut told = false;
    loop {
        let step = backup.step(PAGES_A_STEP)?;
        let pages = backup.progress();
        if !std::mem::replace(&mut told, true) {
            let total = u64::from(pages.pagecount.unsigned_abs());
            progress.on(Event::Rows { name: "pages".to_owned(), total });
        }
        progress.on(Event::Moved { done: u64::from((pages.pagecount - pages.remaining).unsigned_abs()) });
        if interrupted() {
            return Err(Stop::Interrupted.into());
        }
        match step {
            StepResult::Done => break,
            StepResult::More => busy_since = None,
            _ if busy_since.get_or_insert_with(Instant::now).elapsed() < wait => std::thread::sleep(super::POLL),
            _ => {
                return Err(Stop::Locked(
                    "another program holds the database: stop the app, or wait longer with --lock-wait SECONDS".to_owned(),
                )
                .into());
            }
        }
    }
    drop(backup);
    progress.on(Event::TableDone);
    copy.close().map_err(|(_, error)| anyhow!(error))?;
    // SQLite has written the pages to the disk; the rights and the length too, then.
    partial.as_file().sync_all().context("cannot write it to the disk")?;
    Ok(partial)
}

/// Refuses when the disk has no room for [`vacuum`].
pub fn room_to_vacuum(connection: &Connection, path: &Path) -> Result<()> {
    let (before, used) = size(connection)?;
    // The new content goes to a temporary file, and the old one to the journal or the new one to the log.
    let places = [(folder_of(path)?, before + used), (temporary(), used)];
    for (folder, needed) in places {
        let free = free(&folder)?;
        if free < needed {
            return Err(Stop::Refused(format!(
                "giving space back takes about {} MB on the disk of {} for a moment, and {} MB are free: make room and run agno-migrate \
                 cleanup --vacuum again; without --vacuum the space stays in the file, for new rows",
                megabytes(needed),
                folder.display(),
                free / 1_000_000
            ))
            .into());
        }
    }
    Ok(())
}

/// Writes the file anew without the pages that nothing uses.
pub fn vacuum(connection: &Connection, path: &Path) -> Result<Vacuumed> {
    room_to_vacuum(connection, path)?;
    let (before, _) = size(connection)?;
    connection.execute_batch("VACUUM")?;
    // In WAL mode the file itself shrinks only now; an app that reads keeps it from doing so, and will do it later.
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(Vacuumed { before, after: size(connection)?.0 })
}

/// Where SQLite makes temporary files. Source: its documentation of temporary files.
fn temporary() -> PathBuf {
    let named = ["SQLITE_TMPDIR", "TMPDIR"].iter().filter_map(std::env::var_os).map(PathBuf::from);
    let usual = ["/var/tmp", "/usr/tmp", "/tmp"].iter().map(PathBuf::from);
    named.chain(usual).find(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from("."))
}
