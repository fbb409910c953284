//! Loading the compiled form.

use std::io::Read;

use bytemuck::Zeroable;

use super::{Header, MAGIC, MAX_GOLDEN_ROWS, MAX_HEADER, Packed, Preamble, Source, VERSION};
use crate::engine::lines::{LINE, Line, Lines};
use crate::engine::pages::Pages;
use crate::engine::{Layout, Prepared};
use crate::error::ParseError;
use crate::forest::{Aggregation, Forest, check_features, check_outputs, check_trees};
use crate::input::InputStep;
use crate::tree::Nodes;

fn unsound(reason: impl Into<String>) -> ParseError {
    ParseError::Compiled { reason: reason.into() }
}

/// Loads a compiled file from memory, which costs a copy; [`Forest::read_compiled`] does not.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Forest, ParseError> {
    from_reader(bytes, bytes.len() as u64)
}

fn from_reader(mut reader: impl Read, length: u64) -> Result<Forest, ParseError> {
    let mut first = [Line::zeroed()];
    let short = |e: std::io::Error| unsound(format!("the file ends before its {length} bytes: {e}"));
    reader.read_exact(bytemuck::cast_slice_mut(&mut first)).map_err(short)?;
    let preamble: Preamble = bytemuck::cast(first[0]);
    check_preamble(&preamble, length)?;
    let mut lines = Pages::zeroed(length as usize / LINE);
    lines[0] = first[0];
    reader.read_exact(bytemuck::cast_slice_mut(&mut lines[1..])).map_err(short)?;
    check_sum(&preamble, &lines)?;
    let file = Lines::from(lines);
    let end = LINE + u32::from_le(preamble.header_bytes) as usize;
    let header =
        file.cast::<u8>().get(LINE..end).ok_or_else(|| unsound("the header is longer than the file"))?;
    let header: Header = serde_json::from_slice(header)
        .map_err(|source| ParseError::Json { format: crate::Format::Compiled, source })?;
    load(header, &file, end.div_ceil(LINE))
}

fn check_preamble(preamble: &Preamble, length: u64) -> Result<(), ParseError> {
    if preamble.magic != MAGIC {
        return Err(unsound("the first bytes are not \"tribunal\""));
    }
    let version = u32::from_le(preamble.version);
    if version != VERSION {
        return Err(unsound(format!(
            "version {version}, this build reads {VERSION}: compile the source again"
        )));
    }
    let declared = u64::from_le(preamble.file_bytes);
    if declared != length || !length.is_multiple_of(LINE as u64) {
        return Err(unsound(format!("{length} bytes, the file says {declared}")));
    }
    let header = u32::from_le(preamble.header_bytes) as usize;
    match header <= MAX_HEADER {
        true => Ok(()),
        false => Err(ParseError::TooLarge { what: "bytes of header", value: header, limit: MAX_HEADER }),
    }
}

fn check_sum(preamble: &Preamble, lines: &[Line]) -> Result<(), ParseError> {
    let unsummed = Preamble { checksum: 0, ..*preamble };
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytemuck::bytes_of(&unsummed));
    crc.update(bytemuck::cast_slice(&lines[1..]));
    let (found, declared) = (crc.finalize(), u32::from_le(preamble.checksum));
    match found == declared {
        true => Ok(()),
        false => Err(unsound(format!("checksum {found:08x}, the file says {declared:08x}"))),
    }
}

fn load(header: Header, file: &Lines, first: usize) -> Result<Forest, ParseError> {
    header.check()?;
    let golden_bytes = header.golden_rows * header.n_features * 4;
    let margin_bytes = header.golden_rows * header.n_outputs * 8;
    let part = |at: usize, count: usize, what: &str| {
        file.slice(at, count).ok_or_else(|| unsound(format!("the file ends within its {what}")))
    };
    let trees = part(first, header.trees_lines, "trees")?;
    let at = first + header.trees_lines;
    let layout = part(at, header.layout_lines, "layout")?;
    let at = at + header.layout_lines;
    let golden = part(at, golden_bytes.div_ceil(LINE), "golden rows")?;
    let at = at + golden.len();
    let margins = part(at, margin_bytes.div_ceil(LINE), "golden margins")?;
    header.trees.check(trees.len() * LINE).map_err(unsound)?;
    let rows = golden.cast::<f32>()[..golden_bytes / 4].to_vec();
    let margins = margins.cast::<f64>()[..margin_bytes / 8].to_vec();
    let forest = header.into_forest(trees, layout)?;
    forest.check_golden(&rows, &margins)?;
    Ok(forest)
}

impl Header {
    /// Everything that is indexed without looking: lengths by outputs, features and trees.
    fn check(&self) -> Result<(), ParseError> {
        let n = i64::try_from(self.n_features).unwrap_or(i64::MAX);
        check_features("n_features", n, self.feature_names.as_deref())?;
        check_outputs(self.n_outputs)?;
        if self.golden_rows > MAX_GOLDEN_ROWS {
            let (what, value) = ("golden rows", self.golden_rows);
            return Err(ParseError::TooLarge { what, value, limit: MAX_GOLDEN_ROWS });
        }
        let (outputs, trees) = (self.n_outputs, self.trees.n_trees);
        match &self.linear {
            Some(linear) => {
                length("linear.start", linear.start.len(), outputs)?;
                length("linear.weights", linear.weights.len(), outputs * self.n_features)?;
            }
            None => check_trees(trees)?,
        }
        match &self.aggregation {
            Aggregation::SumF32 { base, tree_weights, .. } => {
                length("base", base.len(), outputs)?;
                length("tree_weights", tree_weights.as_ref().map_or(trees, Vec::len), trees)?;
            }
            Aggregation::SumF64 { start, bias, .. } => {
                length("start", start.len(), outputs)?;
                length("bias", if bias.is_empty() { outputs } else { bias.len() }, outputs)?;
            }
            Aggregation::Mean => {}
        }
        for step in &self.input {
            if let InputStep::Scale { offset, scale } = step {
                for len in [offset.len(), scale.len()] {
                    length("scale", if len == 1 { self.n_features } else { len }, self.n_features)?;
                }
            }
        }
        let scalar = self.trees.n_vectors == 0 && outputs > 1 && self.linear.is_none();
        length("tree_outputs", self.tree_outputs.len(), if scalar { trees } else { 0 })?;
        match self.tree_outputs.iter().find(|&&output| usize::from(output) >= outputs) {
            Some(output) => Err(unsound(format!("a tree of output {output}, there are {outputs}"))),
            None => Ok(()),
        }
    }

    fn into_forest(self, trees: Lines, layout: Lines) -> Result<Forest, ParseError> {
        let packed = Packed::new(self.trees, trees);
        let mut prepared = Prepared::default();
        let mut nodes = Nodes::default();
        match self.layout {
            Some(meta) => {
                let layout =
                    Layout::from_parts(meta, layout, self.n_features, self.n_outputs).map_err(unsound)?;
                prepared.set(layout, packed, self.source);
            }
            None if self.linear.is_some() => prepared.set_source(self.source),
            None => {
                nodes = packed.nodes(self.n_features, self.n_outputs).map_err(unsound)?.clone();
                prepared.set_source(self.source);
            }
        }
        Ok(Forest {
            n_features: self.n_features,
            feature_names: self.feature_names,
            objective: self.objective,
            n_outputs: self.n_outputs,
            link: self.link,
            aggregation: self.aggregation,
            input: self.input,
            trees: nodes,
            tree_outputs: self.tree_outputs,
            linear: self.linear,
            prepared,
        })
    }
}

fn length(what: &str, len: usize, expected: usize) -> Result<(), ParseError> {
    if len == expected {
        Ok(())
    } else {
        Err(unsound(format!("{len} values of {what}, expected {expected}")))
    }
}

impl Forest {
    /// Loads a compiled file of `length` bytes straight into the memory that the engines read.
    ///
    /// # Errors
    /// [`ParseError`] when the file is cut, altered, of another version, or not sound.
    pub fn read_compiled(reader: impl Read, length: u64) -> Result<Self, ParseError> {
        let limit = 1 << 34;
        if length > limit {
            let (what, value) = ("bytes", usize::try_from(length).unwrap_or(usize::MAX));
            return Err(ParseError::TooLarge { what, value, limit: limit as usize });
        }
        from_reader(reader, length)
    }

    /// What a compiled model was made from; `None` for a trainer's own file.
    pub fn source(&self) -> Option<&Source> {
        self.prepared.source()
    }

    fn check_golden(&self, rows: &[f32], expected: &[f64]) -> Result<(), ParseError> {
        let mut margins = Vec::with_capacity(expected.len());
        self.margins(rows, &mut margins).map_err(|e| unsound(e.to_string()))?;
        let differs = |(a, b): (&f64, &f64)| a.to_bits() != b.to_bits();
        match margins.iter().zip(expected).position(differs) {
            None => Ok(()),
            Some(i) => Err(unsound(format!(
                "golden row {}, output {}: {} is {} here",
                i / self.n_outputs,
                i % self.n_outputs,
                expected[i],
                margins[i]
            ))),
        }
    }
}
