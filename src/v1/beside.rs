//! One more thread, which works on what the first has prepared: reading and converting v1 rows takes about as long as writing
//! them.

use crate::progress::{Event, Progress};
use anyhow::{Result, anyhow};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What comes back from the other thread.
enum Answer<R> {
    Event(Event),
    Done(Result<R>),
}

/// The other thread. It has at most one piece of work: memory does not grow, and results come in order.
pub struct Beside<W, R> {
    work: Sender<W>,
    answers: Receiver<Answer<R>>,
    is_busy: bool,
}

/// Tells the first thread, which has the terminal.
struct Forward<R>(Sender<Answer<R>>);

impl<R> Progress for Forward<R> {
    fn on(&mut self, event: Event) {
        let _ = self.0.send(Answer::Event(event));
    }
}

impl<W, R> Beside<W, R> {
    /// Hands work over, when that before is done; returns the result of that.
    ///
    /// # Errors
    /// Why the work before failed.
    pub fn give(&mut self, work: W, progress: &mut dyn Progress) -> Result<Option<R>> {
        let before = self.settle(progress)?;
        self.work.send(work).map_err(|_| ended())?;
        self.is_busy = true;
        Ok(before)
    }

    /// Waits for the end of the work that was handed over; returns its result.
    ///
    /// # Errors
    /// Why it failed.
    pub fn settle(&mut self, progress: &mut dyn Progress) -> Result<Option<R>> {
        while self.is_busy {
            match self.answers.recv().map_err(|_| ended())? {
                Answer::Event(event) => progress.on(event),
                Answer::Done(result) => {
                    self.is_busy = false;
                    return result.map(Some);
                }
            }
        }
        Ok(None)
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the thread that writes ended by itself")
}

/// Runs `then` with another thread beside it, which does `each` piece of work.
pub fn beside<W: Send, R: Send, O>(
    mut each: impl FnMut(W, &mut dyn Progress) -> Result<R> + Send,
    then: impl FnOnce(&mut Beside<W, R>) -> O,
) -> O {
    std::thread::scope(|scope| {
        let (work, pieces) = channel();
        let (answer, answers) = channel();
        scope.spawn(move || {
            let mut forward = Forward(answer.clone());
            for piece in pieces {
                let done = Answer::Done(each(piece, &mut forward));
                if answer.send(done).is_err() {
                    break;
                }
            }
        });
        then(&mut Beside { work, answers, is_busy: false })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn results_come_in_order_and_errors_stop() {
        let each = |number: u32, _: &mut dyn Progress| if number < 3 { Ok(number * 10) } else { Err(anyhow!("three")) };
        let outcome = beside(each, |other| -> Result<Vec<u32>> {
            let mut results = Vec::new();
            for number in 0..5 {
                results.extend(other.give(number, &mut Silent)?);
            }
            results.extend(other.settle(&mut Silent)?);
            Ok(results)
        });
        assert_eq!(outcome.expect_err("stops").to_string(), "three");
        let each = |number: u32, _: &mut dyn Progress| Ok(number * 10);
        let outcome = beside(each, |other| -> Result<Vec<u32>> {
            let mut results = Vec::new();
            for number in 0..3 {
                results.extend(other.give(number, &mut Silent)?);
            }
            results.extend(other.settle(&mut Silent)?);
            Ok(results)
        });
        assert_eq!(outcome.expect("goes on"), [0, 10, 20]);
    }
}
