//! Writes the list that goes into `sessions.runs`.

use crate::convert::scan;

/// The text of a list, to be put into `sessions.runs`.
pub struct ListText {
    text: Vec<u8>,
    empty: bool,
}

impl ListText {
    /// An empty list, written as a string that holds it, which every Agno 2 reads.
    pub fn encoded_twice() -> ListText {
        ListText { text: b"\"[".to_vec(), empty: true }
    }

    /// Appends an element as it is written.
    pub fn push(&mut self, element: &[u8]) {
        if !self.empty {
            self.text.extend_from_slice(b", ");
        }
        self.empty = false;
        scan::escape(element, &mut self.text);
    }

    /// The length so far, in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// No element was pushed.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// The finished text; `None` for a list without elements, which Agno 2.0 does not read: NULL stands for it.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        self.text.extend_from_slice(b"]\"");
        (!self.empty).then_some(self.text)
    }
}
