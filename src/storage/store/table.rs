//! A checkpoint as a table is: every key once, in order.

use super::layout;
use bytes::BytesMut;
use rocksdb::SstFileWriter;
use std::ops::Range;
use zorilla_core::tree::Znode;
use zorilla_core::tree::cold::Checkpoint;

/// The entries of a checkpoint, in the order of their keys.
pub struct Table<'a> {
    /// All keys, one behind the other.
    keys: Vec<u8>,
    entries: Vec<(Range<usize>, Value<'a>)>,
}

enum Value<'a> {
    Gone,
    Node(&'a Znode),
    Borrowed(&'a [u8]),
    Owned(Box<[u8]>),
}

impl<'a> Table<'a> {
    /// Costs a copy and a comparison sort of the keys; values are borrowed.
    pub fn of(checkpoint: &'a Checkpoint) -> Table<'a> {
        let key_bytes = checkpoint.nodes.iter().map(|dirty| dirty.path.len() + 2).sum();
        let mut table =
            Table { keys: Vec::with_capacity(key_bytes), entries: Vec::with_capacity(checkpoint.nodes.len() + 1) };
        for dirty in &checkpoint.nodes {
            let node = |keys: &mut Vec<u8>| layout::put_key(layout::NODE, &dirty.path, keys);
            let data = |keys: &mut Vec<u8>| layout::put_key(layout::DATA, &dirty.path, keys);
            let Some(znode) = &dirty.znode else {
                table.add(node, Value::Gone);
                table.add(data, Value::Gone);
                continue;
            };
            table.add(node, Value::Node(znode));
            if let (true, Some(bytes)) = (dirty.data_changed, layout::separate_data(znode)) {
                table.add(data, Value::Borrowed(bytes));
            }
        }
        for (id, timeout_ms) in &checkpoint.sessions {
            let value = timeout_ms.map_or(Value::Gone, |ms| Value::Owned(ms.to_be_bytes().into()));
            table.add(|keys| keys.extend(layout::session_key(*id)), value);
        }
        for (owner, path, present) in &checkpoint.owned {
            let value = if *present { Value::Borrowed(&[]) } else { Value::Gone };
            table.add(|keys| keys.extend(layout::owned_key(*owner, path)), value);
        }
        let header = Value::Owned(layout::put_header(checkpoint).as_ref().into());
        table.add(|keys| keys.extend(layout::HEADER_KEY), header);
        let keys = &table.keys;
        table.entries.sort_unstable_by(|(a, _), (b, _)| keys[a.clone()].cmp(&keys[b.clone()]));
        table
    }

    fn add(&mut self, put_key: impl FnOnce(&mut Vec<u8>), value: Value<'a>) {
        let start = self.keys.len();
        put_key(&mut self.keys);
        self.entries.push((start..self.keys.len(), value));
    }

    /// Adds all of it to an open file.
    pub fn write(&self, writer: &mut SstFileWriter<'_>) -> Result<(), rocksdb::Error> {
        let mut node = BytesMut::new();
        for (key, value) in &self.entries {
            let key = &self.keys[key.clone()];
            match value {
                Value::Gone => writer.delete(key)?,
                Value::Borrowed(bytes) => writer.put(key, bytes)?,
                Value::Owned(bytes) => writer.put(key, bytes)?,
                Value::Node(znode) => {
                    node.clear();
                    layout::put_node(znode, &mut node);
                    writer.put(key, &node)?;
                }
            }
        }
        Ok(())
    }
}
