//! Session passwords: a pure function of the session id, the same on every server, so that nothing
//! is stored and a session survives a move between Apache and us (Java: `SessionTrackerImpl`,
//! `ZooKeeperServer.generatePasswd`).

use crate::ids::SessionId;

/// Java: `ZooKeeperServer.superSecret`.
const SUPER_SECRET: i64 = 0xB341_5C00;
/// The multiplier and addend of `java.util.Random`.
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const ADDEND: u64 = 0xB;
const MASK_48: u64 = (1 << 48) - 1;

/// The 16 bytes that prove ownership of a session.
pub fn session_password(session: SessionId) -> [u8; 16] {
    let mut state = (session.0 ^ SUPER_SECRET).cast_unsigned() ^ MULTIPLIER;
    state &= MASK_48;
    let mut password = [0; 16];
    for chunk in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND) & MASK_48;
        // The low 32 bits above bit 16, lowest byte first.
        for (i, byte) in chunk.iter_mut().enumerate() {
            *byte = (state >> (16 + 8 * i)) as u8;
        }
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_a_session_recorded_from_apache() {
        // Scenario connect-close of the recorded conversations.
        let expected: [u8; 16] =
            [0x2f, 0x95, 0x13, 0xc4, 0x90, 0xf0, 0x47, 0x2a, 0x25, 0x99, 0x83, 0xef, 0x59, 0xbb, 0x5d, 0x10];
        assert_eq!(session_password(SessionId(0x0100_000b_b313_0000)), expected);
    }
}
