//! What a process has used, from `/proc` (Linux).

use std::fs;
use std::io::{self, Error, ErrorKind};

/// CPU time and memory of one process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// User plus system time of all its threads, microseconds; the kernel counts in ticks of 10 ms.
    pub cpu_us: u64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}

impl Usage {
    /// Usage of process `pid` now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let page_bytes = rustix::param::page_size() as u64;
        parse_stat(&stat, ticks_per_second, page_bytes)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("/proc/{pid}/stat: {stat}")))
    }

    /// Usage of this process now.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }
}

/// Fields 14, 15 and 24 of proc(5)'s `stat`, counted behind the command name, which may hold anything.
fn parse_stat(stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Usage> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    Some(Usage { cpu_us: ticks * 1_000_000 / ticks_per_second, resident_bytes: field(24)? * page_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "1234 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 30 0 999 123456 77 18446744073709551615";
        assert_eq!(parse_stat(stat, 100, 4096), Some(Usage { cpu_us: 3_000_000, resident_bytes: 77 * 4096 }));
        assert_eq!(parse_stat("1234 (short) S 1 2", 100, 4096), None);
    }

    #[test]
    fn our_own_usage_is_readable_and_grows() {
        let before = Usage::own().unwrap();
        let mut x = 0u64;
        while Usage::own().unwrap().cpu_us < before.cpu_us + 20_000 {
            x = std::hint::black_box(x + 1);
        }
        assert!(before.resident_bytes > 100_000);
    }
}
