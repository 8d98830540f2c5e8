//! Rows in, rows out: the conversions of data, without a database, a clock or chance.
//!
//! Payloads are scanned, not parsed: what is only moved keeps its bytes, so no digit, key order, NaN or odd escape changes.

pub mod jsonb;
pub mod learnings;
pub mod runs;
pub mod same;
pub mod scan;
pub mod v1;
