//! What operators ask.

use crate::server::shared::Shared;

/// The answer to a four-letter word at the front of a connection's first bytes; `None` if it is none.
pub fn answer_word(_shared: &Shared, received: &[u8]) -> Option<String> {
    match received.first_chunk::<4>()? {
        b"ruok" => Some("imok".to_owned()),
        _ => None,
    }
}
