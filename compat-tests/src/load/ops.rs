//! The operations a load is made of: how each is asked, and what a right answer looks like.

use super::session::Session;
use super::wire::{self, DIGITS, MULTI_HEADER_BYTES, Put, STAT_BYTES, op};

/// Operations of one `Op::MultiSet`.
pub const MULTI_SETS: u32 = 20;
/// Most creates or deletes in one `Op::CreateBatch` or `Op::DeleteBatch`.
pub const BATCH_MAX: u32 = 100;
/// Keeps a batch far below the default `jute.maxbuffer`.
const BATCH_BYTES_MAX: usize = 512 << 10;
/// Children of the znode that `Op::Children` lists.
pub const LISTED_CHILDREN: u32 = 100;

/// One request, with what tells its znode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// getData of a key, and watch it if asked.
    Get {
        key: u32,
        watch: bool,
    },
    Exists {
        key: u32,
    },
    /// getChildren2 of the znode with [`LISTED_CHILDREN`] children.
    Children,
    Set {
        key: u32,
    },
    /// A znode without data, `dir` being the place of its parent in [`Names::dirs`].
    CreateDir {
        dir: u32,
    },
    DeleteDir {
        dir: u32,
    },
    Create {
        dir: u32,
        number: u32,
    },
    CreateEphemeral {
        dir: u32,
        number: u32,
    },
    SetCreated {
        dir: u32,
        number: u32,
    },
    Delete {
        dir: u32,
        number: u32,
    },
    /// setData of [`MULTI_SETS`] keys that follow each other.
    MultiSet {
        key: u32,
    },
    /// Creates `count` znodes from `number` on.
    CreateBatch {
        dir: u32,
        number: u32,
        count: u32,
    },
    DeleteBatch {
        dir: u32,
        number: u32,
        count: u32,
    },
    CloseSession,
    /// Keeps an idle session alive.
    Ping,
}

impl Op {
    /// Operations it counts for: a batch counts the znodes it touches, a multi is one.
    pub fn weight(self) -> u64 {
        match self {
            Self::CreateBatch { count, .. } | Self::DeleteBatch { count, .. } => u64::from(count),
            _ => 1,
        }
    }

    /// The opcode of its request.
    pub fn opcode(self) -> i32 {
        match self {
            Self::Get { .. } => op::GET_DATA,
            Self::Exists { .. } => op::EXISTS,
            Self::Children => op::GET_CHILDREN2,
            Self::Set { .. } | Self::SetCreated { .. } => op::SET_DATA,
            Self::CreateDir { .. } | Self::Create { .. } | Self::CreateEphemeral { .. } => op::CREATE,
            Self::DeleteDir { .. } | Self::Delete { .. } => op::DELETE,
            Self::MultiSet { .. } | Self::CreateBatch { .. } | Self::DeleteBatch { .. } => op::MULTI,
            Self::CloseSession => op::CLOSE_SESSION,
            Self::Ping => op::PING,
        }
    }
}

/// Where the znodes of a run live, and what they hold.
pub struct Names {
    pub root: Vec<u8>,
    /// Parents of numbered znodes. The first holds the keys, the second the listed children.
    pub dirs: Vec<Vec<u8>>,
    pub data: Vec<u8>,
    pub keys: u32,
}

/// Index of the parent of the keys in [`Names::dirs`].
pub const KEYS_DIR: u32 = 0;
/// Index of the parent that `Op::Children` lists.
pub const LIST_DIR: u32 = 1;
/// Index of the first parent of created znodes.
pub const FIRST_CREATE_DIR: u32 = 2;

impl Names {
    /// Names under `root`, with one parent of created znodes per connection so that no list of
    /// children grows without bound.
    pub fn new(root: &str, connections: u32, keys: u32, data_bytes: usize) -> Self {
        let mut dirs = vec![format!("{root}/keys").into_bytes(), format!("{root}/list").into_bytes()];
        dirs.extend((0..connections).map(|connection| format!("{root}/c{connection:05}").into_bytes()));
        // Not compressible to nothing, the same in every run.
        let data = (0..data_bytes as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        Self { root: root.as_bytes().to_vec(), dirs, data, keys }
    }

    /// Znodes of one batch, so that it stays well inside a frame.
    pub fn batch(&self) -> u32 {
        (BATCH_BYTES_MAX / (self.data.len() + 100)).clamp(1, BATCH_MAX as usize) as u32
    }

    fn dir(&self, dir: u32) -> &[u8] {
        &self.dirs[dir as usize]
    }

    /// Key `key`, wrapped into the keys there are.
    fn key(&self, out: &mut Vec<u8>, key: u32) {
        out.numbered_path(self.dir(KEYS_DIR), key % self.keys);
    }

    /// Appends `op` to the output of `session`.
    pub fn ask(&self, session: &mut Session<Op>, op: Op, sent_ns: u64) {
        session.request(op.opcode(), op, sent_ns, |out| self.body(out, op));
    }

    /// Appends the record of `op`, which follows the request header.
    pub fn body(&self, out: &mut Vec<u8>, op: Op) {
        match op {
            Op::Get { key, watch } => {
                self.key(out, key);
                out.boolean(watch);
            }
            Op::Exists { key } => {
                self.key(out, key);
                out.boolean(false);
            }
            Op::Children => {
                out.buffer(self.dir(LIST_DIR));
                out.boolean(false);
            }
            Op::Set { key } => {
                self.key(out, key);
                self.set_rest(out);
            }
            Op::CreateDir { dir } => {
                out.buffer(self.dir_or_root(dir));
                wire::create_rest(out, &[], 0);
            }
            Op::DeleteDir { dir } => {
                out.buffer(self.dir_or_root(dir));
                out.int(-1);
            }
            Op::Create { dir, number } => self.create(out, dir, number, 0),
            Op::CreateEphemeral { dir, number } => self.create(out, dir, number, wire::EPHEMERAL),
            Op::SetCreated { dir, number } => {
                out.numbered_path(self.dir(dir), number);
                self.set_rest(out);
            }
            Op::Delete { dir, number } => self.delete(out, dir, number),
            Op::MultiSet { key } => {
                for key in key..key + MULTI_SETS {
                    wire::multi_header(out, op::SET_DATA);
                    self.key(out, key);
                    self.set_rest(out);
                }
                wire::multi_end(out);
            }
            Op::CreateBatch { dir, number, count } => {
                for number in number..number + count {
                    wire::multi_header(out, op::CREATE);
                    self.create(out, dir, number, 0);
                }
                wire::multi_end(out);
            }
            Op::DeleteBatch { dir, number, count } => {
                for number in number..number + count {
                    wire::multi_header(out, op::DELETE);
                    self.delete(out, dir, number);
                }
                wire::multi_end(out);
            }
            Op::CloseSession | Op::Ping => {}
        }
    }

    fn set_rest(&self, out: &mut Vec<u8>) {
        out.buffer(&self.data);
        out.int(-1);
    }

    fn create(&self, out: &mut Vec<u8>, dir: u32, number: u32, flags: i32) {
        out.numbered_path(self.dir(dir), number);
        wire::create_rest(out, &self.data, flags);
    }

    fn delete(&self, out: &mut Vec<u8>, dir: u32, number: u32) {
        out.numbered_path(self.dir(dir), number);
        out.int(-1);
    }

    /// The parent at `dir`, or the root of all parents behind the last of them.
    fn dir_or_root(&self, dir: u32) -> &[u8] {
        self.dirs.get(dir as usize).unwrap_or(&self.root)
    }

    /// What is wrong with the body of a successful reply to `op`; `None` when it is right.
    pub fn complaint(&self, op: Op, body: &[u8]) -> Option<String> {
        let right = match op {
            Op::Get { .. } => self.is_get_reply(body),
            Op::Exists { .. } | Op::Set { .. } | Op::SetCreated { .. } => body.len() == STAT_BYTES,
            Op::Children => self.is_children_reply(body),
            Op::CreateDir { dir } => strip_buffer(body, self.dir_or_root(dir)) == Some(&[]),
            Op::Create { dir, number } | Op::CreateEphemeral { dir, number } => {
                self.strip_created(body, dir, number) == Some(&[])
            }
            Op::Delete { .. } | Op::DeleteDir { .. } | Op::CloseSession | Op::Ping => body.is_empty(),
            Op::MultiSet { .. } => is_multi_reply(body, op::SET_DATA, MULTI_SETS, |_, rest| rest.get(STAT_BYTES..)),
            Op::CreateBatch { dir, number, count } => {
                is_multi_reply(body, op::CREATE, count, |at, rest| self.strip_created(rest, dir, number + at))
            }
            Op::DeleteBatch { count, .. } => is_multi_reply(body, op::DELETE, count, |_, rest| Some(rest)),
        };
        (!right).then(|| format!("{op:?}: wrong body of {} bytes: {:02x?}", body.len(), &body[..body.len().min(64)]))
    }

    fn is_get_reply(&self, body: &[u8]) -> bool {
        const DATA_LENGTH_AT: usize = 52;
        strip_buffer(body, &self.data).is_some_and(|stat| {
            stat.len() == STAT_BYTES && wire::int_at(stat, DATA_LENGTH_AT) == Some(self.data.len() as i32)
        })
    }

    fn is_children_reply(&self, body: &[u8]) -> bool {
        wire::int_at(body, 0) == Some(LISTED_CHILDREN as i32)
            && body.len() == 4 + LISTED_CHILDREN as usize * (4 + DIGITS) + STAT_BYTES
    }

    /// What follows the path of created znode `number`, if `body` starts with that path.
    fn strip_created<'a>(&self, body: &'a [u8], dir: u32, number: u32) -> Option<&'a [u8]> {
        let dir = self.dir(dir);
        let length = dir.len() + 1 + DIGITS;
        let (path, rest) = body.strip_prefix(&(length as u32).to_be_bytes())?.split_at_checked(length)?;
        (path.starts_with(dir) && path.ends_with(&wire::digits(number))).then_some(rest)
    }
}

fn strip_buffer<'a>(body: &'a [u8], value: &[u8]) -> Option<&'a [u8]> {
    body.strip_prefix(&(value.len() as u32).to_be_bytes())?.strip_prefix(value)
}

/// Whether a multi's reply holds `count` successes of `opcode`; `strip` takes one result off the front.
fn is_multi_reply<'a>(
    body: &'a [u8],
    opcode: i32,
    count: u32,
    strip: impl Fn(u32, &'a [u8]) -> Option<&'a [u8]>,
) -> bool {
    let header = |rest: &'a [u8], kind: i32, done: u8| {
        let right = wire::int_at(rest, 0) == Some(kind) && rest.get(4) == Some(&done);
        if right { rest.get(MULTI_HEADER_BYTES..) } else { None }
    };
    let mut rest = Some(body);
    for at in 0..count {
        rest = rest.and_then(|rest| strip(at, header(rest, opcode, 0)?));
    }
    rest.and_then(|rest| header(rest, -1, 1)) == Some(&[])
}

#[cfg(test)]
#[path = "ops_test.rs"]
mod tests;
