//! What an operator asks a running server: the four-letter words.

pub mod four_letter;
mod metric_names;
pub mod monitor;
