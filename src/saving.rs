//! The copy of a database before its first change, where that is asked for.

use crate::backend::Backend;
use crate::cli::Backup;
use crate::progress::Progress;
use crate::report::Report;
use anyhow::Result;

/// Refuses a copy that cannot be made, before anyone is asked; a dry run also says where it would be.
///
/// # Errors
/// Those of [`Backend::backup_file`].
pub fn announce(backend: &mut dyn Backend, backup: &Backup, report: &mut Report) -> Result<()> {
    if let Some(path) = backup.wanted()? {
        let file = backend.backup_file(path.as_deref())?;
        if report.dry_run {
            report.notes.push(format!("would save the database as it is to {}", file.display()));
        }
    }
    Ok(())
}

/// Copies the database when that was asked for, before the first change.
///
/// # Errors
/// Those of [`Backend::backup`].
pub fn save(backend: &mut dyn Backend, backup: &Backup, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    if let Some(path) = backup.wanted()? {
        let saved = backend.backup(path.as_deref(), progress)?;
        report.notes.push(format!("saved the database as it was to {}", saved.display()));
        report.backup = Some(saved.display().to_string());
    }
    Ok(())
}
