//! From a file's bytes to a network whose sums cannot overflow. The layout is in `FORMAT.md`.

use crate::model::{CharacterModel, Convolution, MAX_FILTERS};
use crate::text::ALPHABET;

/// What a manifest calls the format.
pub const FORMAT: &str = "tribunal-charnet";
/// Most bytes of a file.
pub const MAX_BYTES: usize = 8 << 20;

const MAGIC: &[u8; 8] = b"TRBCHAR1";
const MAX_CONVOLUTIONS: u64 = 8;
const MAX_WIDTH: u64 = 9;
const MAX_EMBEDDING: u64 = 64;
const MAX_HIDDEN: u64 = 256;
const MAX_SUFFIXES: u64 = 16_384;
const MAX_SHIFT: u64 = 62;
const MAX_SUFFIX_BYTES: u64 = 64;
/// Keeps the sum of the output, at most 256 x 2^31 x 2^15 besides, within 64 bits.
const MAX_OUTPUT_BIAS: u64 = 1 << 62;

/// Why a file is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is larger than any network may be.
    #[error("file has {bytes} bytes, the limit is {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It does not begin like one.
    #[error("file does not begin with {:?}", String::from_utf8_lossy(MAGIC))]
    Magic,
    /// It ends too early.
    #[error("file ends at byte {at}, within {what}")]
    Truncated {
        /// Length of the file.
        at: usize,
        /// What is cut.
        what: &'static str,
    },
    /// Something follows the end.
    #[error("{bytes} bytes follow the end of the network")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A number is outside its limits.
    #[error("{what} is {value}, must be {min} to {max}")]
    Range {
        /// What the number is.
        what: &'static str,
        /// The number.
        value: i64,
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// The mean margin is infinite or no number.
    #[error("base margin is not finite")]
    Base,
    /// The suffixes are not in ascending order, or one is there twice.
    #[error("suffix {position} does not come after the one before it")]
    Order {
        /// Position of the suffix.
        position: usize,
    },
    /// Some text could make a sum overflow.
    #[error("{what} {position} can reach {reach}, the limit is {limit}")]
    Overflow {
        /// Filter or hidden unit.
        what: &'static str,
        /// Its position.
        position: usize,
        /// What it can reach.
        reach: i64,
        /// What its type holds.
        limit: i64,
    },
}

impl CharacterModel {
    /// Reads a network of the format `tribunal-charnet`.
    ///
    /// # Errors
    /// When the bytes are not of the format, or are for a network whose sums some text could make overflow.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > MAX_BYTES {
            return Err(ParseError::TooLarge { bytes: bytes.len() });
        }
        let mut file = Cursor { bytes, at: 0 };
        if file.take(MAGIC.len(), "the magic")? != MAGIC {
            return Err(ParseError::Magic);
        }
        let model = read(&mut file)?;
        if file.at != bytes.len() {
            return Err(ParseError::Trailing { bytes: bytes.len() - file.at });
        }
        check_sums(&model)?;
        Ok(model)
    }
}

fn read(file: &mut Cursor<'_>) -> Result<CharacterModel, ParseError> {
    let count = file.count("convolutions", 1, MAX_CONVOLUTIONS)?;
    file.count("symbols", ALPHABET as u64, ALPHABET as u64)?;
    let embedding = file.count("numbers of a suffix", 1, MAX_EMBEDDING)?;
    let hidden = file.count("hidden units", 1, MAX_HIDDEN)?;
    let suffixes = file.count("suffixes", 0, MAX_SUFFIXES)?;
    let shift = file.count("shift", 0, MAX_SHIFT)?;
    let base = f64::from_le_bytes(file.array("the base margin")?);
    if !base.is_finite() {
        return Err(ParseError::Base);
    }
    let mut convolutions = Vec::with_capacity(count);
    for _ in 0..count {
        let width = file.count("width", 1, MAX_WIDTH)?;
        let filters = file.count("filters", 1, MAX_FILTERS as u64)?;
        let bias = file.i16s(filters, "a filter's bias")?;
        let table = file.i16s(width * ALPHABET * filters, "a convolution's table")?;
        convolutions.push(Convolution { width, bias, table });
    }
    let inputs = convolutions.iter().map(Convolution::filters).sum::<usize>() + embedding;
    let vectors = file.i16s((suffixes + 1) * embedding, "the suffixes' vectors")?;
    let means = file.i16s(inputs, "the means")?;
    let hidden_bias = file.i32s(hidden, "the hidden layer's bias")?;
    let weights = file.i16s(hidden * inputs, "the hidden layer")?;
    let output = file.i16s(hidden, "the output's weights")?;
    let output_bias = i64::from_le_bytes(file.array("the output's bias")?);
    if output_bias.unsigned_abs() > MAX_OUTPUT_BIAS {
        let (what, value) = ("output's bias", output_bias);
        return Err(ParseError::Range { what, value, min: 0, max: MAX_OUTPUT_BIAS });
    }
    Ok(CharacterModel {
        convolutions,
        suffixes: file.suffixes(suffixes)?,
        vectors,
        embedding,
        hidden_bias,
        hidden: weights,
        output,
        output_bias,
        // A power of two: the product below it is exact.
        scale: 0.5_f64.powi(i32::try_from(shift).unwrap_or_default()),
        means,
        base,
    })
}

/// Refuses a network whose sums some text could make overflow.
fn check_sums(model: &CharacterModel) -> Result<(), ParseError> {
    let mut caps: Vec<i64> = Vec::with_capacity(model.inputs());
    for convolution in &model.convolutions {
        let mut reach: Vec<i64> = convolution.bias.iter().map(|&b| i64::from(b).abs()).collect();
        for position in convolution.table.chunks_exact(ALPHABET * convolution.filters()) {
            for (filter, reach) in reach.iter_mut().enumerate() {
                let of_filter = position.iter().skip(filter).step_by(convolution.filters());
                *reach += of_filter.map(|&v| i64::from(v).abs()).max().unwrap_or_default();
            }
        }
        within("filter", &reach, i64::from(i16::MAX))?;
        caps.extend(reach);
    }
    for at in 0..model.embedding {
        let of_input = model.vectors.iter().skip(at).step_by(model.embedding);
        caps.push(of_input.map(|&v| i64::from(v).abs()).max().unwrap_or_default());
    }
    let units = model.hidden.chunks_exact(model.inputs()).zip(&model.hidden_bias);
    let reach: Vec<i64> = units
        .map(|(weights, &bias)| {
            let sum: i64 = weights.iter().zip(&caps).map(|(&w, cap)| i64::from(w).abs() * cap).sum();
            i64::from(bias).abs() + sum
        })
        .collect();
    within("hidden unit", &reach, i64::from(i32::MAX))
}

fn within(what: &'static str, reach: &[i64], limit: i64) -> Result<(), ParseError> {
    match reach.iter().enumerate().find(|&(_, &reach)| reach > limit) {
        Some((position, &reach)) => Err(ParseError::Overflow { what, position, reach, limit }),
        None => Ok(()),
    }
}

/// Reads little-endian numbers from a file, never past its end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize, what: &'static str) -> Result<&'a [u8], ParseError> {
        let taken = self.at.checked_add(bytes).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(ParseError::Truncated { at: self.bytes.len(), what })?;
        self.at += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ParseError> {
        let at = self.bytes.len();
        self.take(N, what)?.try_into().map_err(|_| ParseError::Truncated { at, what })
    }

    /// A count of 16 bits.
    fn count(&mut self, what: &'static str, min: u64, max: u64) -> Result<usize, ParseError> {
        let count = u16::from_le_bytes(self.array(what)?);
        if (min..=max).contains(&u64::from(count)) {
            return Ok(usize::from(count));
        }
        Err(ParseError::Range { what, value: i64::from(count), min, max })
    }

    /// `count` numbers; the bytes are there before memory is taken.
    fn i16s(&mut self, count: usize, what: &'static str) -> Result<Vec<i16>, ParseError> {
        let (numbers, _) = self.take(2 * count, what)?.as_chunks::<2>();
        Ok(numbers.iter().map(|&b| i16::from_le_bytes(b)).collect())
    }

    fn i32s(&mut self, count: usize, what: &'static str) -> Result<Vec<i32>, ParseError> {
        let (numbers, _) = self.take(4 * count, what)?.as_chunks::<4>();
        Ok(numbers.iter().map(|&b| i32::from_le_bytes(b)).collect())
    }

    fn suffixes(&mut self, count: usize) -> Result<Vec<Box<[u8]>>, ParseError> {
        let mut suffixes: Vec<Box<[u8]>> = Vec::with_capacity(count);
        for position in 0..count {
            let [length] = self.array("a suffix")?;
            if !(1..=MAX_SUFFIX_BYTES).contains(&u64::from(length)) {
                let (what, value) = ("length of a suffix", i64::from(length));
                return Err(ParseError::Range { what, value, min: 1, max: MAX_SUFFIX_BYTES });
            }
            let suffix = self.take(usize::from(length), "a suffix")?;
            if suffixes.last().is_some_and(|before| before.as_ref() >= suffix) {
                return Err(ParseError::Order { position });
            }
            suffixes.push(suffix.into());
        }
        Ok(suffixes)
    }
}
