//! What a person sees while waiting, and colours. The only file that knows terminals.

use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::Result;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Progress bars on stderr.
pub struct Bars {
    bar: ProgressBar,
    work: String,
}

impl Bars {
    /// Bars that appear when there is something to show.
    pub fn new() -> Bars {
        Bars { bar: ProgressBar::hidden(), work: String::new() }
    }

    fn spin(&mut self, message: String) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        self.bar.set_style(ProgressStyle::default_spinner());
        self.bar.set_message(message);
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }
}

impl Default for Bars {
    fn default() -> Bars {
        Bars::new()
    }
}

impl Progress for Bars {
    fn on(&mut self, event: Event) {
        match event {
            Event::Table { name, work } => {
                self.work = format!("{} {work}", plain(&name));
                self.spin(self.work.clone());
            }
            Event::Rows { total, .. } => {
                self.bar.finish_and_clear();
                self.bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                let template = "{msg} [{bar:30}] {human_pos}/{human_len} rows, {speed}/s, {eta} left";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    // Whole rows: indicatif's own has four digits behind the point.
                    let style = style.with_key("speed", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                        let _ = write!(text, "{}", HumanCount(state.per_sec() as u64));
                    });
                    self.bar.set_style(style.progress_chars("=> "));
                }
                self.bar.set_message(self.work.clone());
            }
            Event::Moved { done } => self.bar.set_position(done),
            Event::TableDone => self.bar.finish_and_clear(),
            Event::Waiting(whom) => self.spin(plain(&whom).into_owned()),
        }
    }
}

/// Between two notes of one wait. Who is waited for says how long by now, and is another text each time.
const BETWEEN_NOTES: Duration = Duration::from_secs(60);

/// Where nobody watches, only what a job waits for, which could be taken for a job that hangs: at once, and then every minute.
#[derive(Default)]
pub struct Waits {
    told: Option<Instant>,
}

impl Waits {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.told.is_none_or(|told| now.duration_since(told) >= BETWEEN_NOTES);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

impl Progress for Waits {
    fn on(&mut self, event: Event) {
        match event {
            Event::Waiting(whom) if self.is_due(Instant::now()) => {
                let _ = writeln!(std::io::stderr(), "note: {}", plain(&whom));
            }
            Event::TableDone => self.told = None,
            _ => {}
        }
    }
}

/// Text of a database, safe to print: an id with control characters would talk to the terminal.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_unsafe = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

/// Whether stderr is a terminal: progress is for people.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours are of use on stderr, unless someone said so: <https://no-color.org>.
pub fn is_colored() -> bool {
    let says = |name: &str, value: &str| std::env::var_os(name).is_some_and(|is| is == value);
    is_watched() && !says("TERM", "dumb") && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether someone can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && is_watched()
}

/// Asks a question on stderr and reads a line; anything but yes is no.
///
/// # Errors
/// [`Stop::Interrupted`] as soon as that is so; a terminal that is gone.
pub fn ask(question: &str) -> Result<bool> {
    eprint!("{} [y/N] ", plain(question));
    std::io::stderr().flush()?;
    // Reading goes on after a signal: another thread does it, and this one hears Ctrl-C.
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        sender.send(std::io::stdin().read_line(&mut answer).map(|_| answer))
    });
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(answer) => {
                let answer = answer?;
                if answer.is_empty() {
                    eprintln!();
                }
                return Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"));
            }
            Err(RecvTimeoutError::Timeout) if !interrupted() => {}
            Err(_) => {
                // Behind the question, and behind ^C.
                eprintln!();
                return Err(Stop::Interrupted.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BETWEEN_NOTES, Waits, plain};
    use crate::progress::{Event, Progress};
    use std::time::{Duration, Instant};

    #[test]
    fn a_long_wait_is_told_every_minute() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let told = |waits: &mut Waits, seconds: u64| waits.is_due(start + Duration::from_secs(seconds));
        let minute = BETWEEN_NOTES.as_secs();
        let due: Vec<u64> = (0..=2 * minute).filter(|second| told(&mut waits, *second)).collect();
        assert_eq!(due, [0, minute, 2 * minute]);
        // The next table is another wait.
        waits.on(Event::TableDone);
        assert!(told(&mut waits, 2 * minute + 1));
    }

    #[test]
    fn ids_do_not_talk_to_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{9b}\n"), "a\\u{1b}[2Jb\\r\\u{9b}\n");
        assert_eq!(plain("größe\t好\n"), "größe\t好\n");
    }
}
