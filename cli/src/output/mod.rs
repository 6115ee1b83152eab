//! What people see.

pub mod progress;
pub mod rows;
pub mod summary;
pub mod text;
