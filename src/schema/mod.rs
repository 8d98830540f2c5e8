//! What every schema version of Agno wants, declared once for all databases.
//!
//! [`tables`] names the table types, [`versions`] lists what each version changes, [`step`] gives the words that list is
//! written in, [`shape`] is what a database answers when it is asked what it has, [`release`] knows which Agno release
//! speaks which schema. Nothing here does I/O and nothing here names a database.

pub mod release;
pub mod shape;
pub mod step;
pub mod tables;
pub mod versions;

pub use release::Target;
pub use shape::{ColumnShape, Definition, ForeignKeyShape, IndexShape, Shape};
pub use step::{Column, ColumnType, Condition, Direction, Index, Move, Retype, Step};
pub use tables::{NewTable, TableType};
pub use versions::{MIGRATIONS, Migration};
