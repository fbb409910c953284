//! The compiled form: one flat file that is loaded by checking and pointing, not by parsing.
//!
//! ```text
//! 64 bytes    magic "tribunal", version, length of the header, length of the file, CRC-32 of all of it
//! header      JSON: everything but arrays (names, link, aggregation, counts, digest of the source)
//! trees       the nodes, packed (see `packed`): for contributions, leaves and the reference engine
//! layout      what the fast engines read, as it lies in memory; absent when no layout takes the forest
//! golden      rows (f32) and their margins (f64), computed by the reference engine when the file was made
//! ```
//!
//! All numbers are little endian; every part starts on a 64-byte line. Loading verifies the checksum, checks the
//! header and what the fast engines rely on, points at the arrays, and computes the golden rows. The packed trees
//! are unpacked when contributions, leaves or the reference engine are first asked for.
//!
//! Version 1. A reader refuses any other: compile again from the source.

mod packed;
mod read;
mod write;

use std::sync::OnceLock;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::Format;
use crate::engine::LayoutMeta;
use crate::engine::lines::Lines;
use crate::forest::Aggregation;
use crate::input::InputStep;
use crate::linear::Linear;
use crate::link::Link;
use crate::tree::Nodes;

pub(crate) use packed::PackedMeta;
pub(crate) use read::from_bytes;

pub(crate) const MAGIC: [u8; 8] = *b"tribunal";
const VERSION: u32 = 1;
/// Most bytes of a header: names of 65,536 features, and outputs of a million trees.
const MAX_HEADER: usize = 64 << 20;
/// Most golden rows that are verified when a file is loaded.
const MAX_GOLDEN_ROWS: usize = 64;

/// The first line of the file.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Preamble {
    magic: [u8; 8],
    version: u32,
    header_bytes: u32,
    file_bytes: u64,
    /// CRC-32 (ISO-HDLC) of the whole file with this field zero.
    checksum: u32,
    reserved: [u32; 9],
}

/// Everything but arrays.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    n_features: usize,
    feature_names: Option<Vec<String>>,
    objective: String,
    n_outputs: usize,
    link: Link,
    aggregation: Aggregation,
    input: Vec<InputStep>,
    tree_outputs: Vec<u16>,
    linear: Option<Linear>,
    source: Source,
    trees: PackedMeta,
    /// Lines of the packed trees.
    trees_lines: usize,
    layout: Option<LayoutMeta>,
    /// Lines of the layout.
    layout_lines: usize,
    golden_rows: usize,
}

/// What a compiled model was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Format of the source.
    pub format: Format,
    /// Its SHA-256, as 64 lower-case hexadecimal digits; computed by the caller.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// The part of a loaded file that may be unpacked later.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) meta: PackedMeta,
    arena: Lines,
    unpacked: OnceLock<Result<Nodes, String>>,
}

impl Packed {
    fn new(meta: PackedMeta, arena: Lines) -> Self {
        Self { meta, arena, unpacked: OnceLock::new() }
    }

    /// The nodes. An error only if the file was made to deceive: its checksum holds, its trees do not.
    pub(crate) fn nodes(&self, n_features: usize, n_outputs: usize) -> Result<&Nodes, &str> {
        let unpack = || packed::unpack(self.meta, &self.arena, n_features, n_outputs);
        self.unpacked.get_or_init(unpack).as_ref().map_err(String::as_str)
    }
}
