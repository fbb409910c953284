//! The network, and its margin.
//!
//! Layouts: a convolution's table is position in the window x symbol x filter, the hidden layer hidden unit x input
//! (filters in the order of the convolutions, then the suffix's vector).

use crate::text::{ALPHABET, Text};

/// Most filters of one convolution.
pub(crate) const MAX_FILTERS: usize = 256;

/// Filters of one window width.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Convolution {
    pub(crate) width: usize,
    /// One per filter.
    pub(crate) bias: Vec<i16>,
    /// Position x symbol x filter.
    pub(crate) table: Vec<i16>,
}

impl Convolution {
    pub(crate) fn filters(&self) -> usize {
        self.bias.len()
    }

    /// What every filter adds for a symbol at a position of the window.
    pub(crate) fn row(&self, position: usize, symbol: u8) -> &[i16] {
        let start = (position * ALPHABET + usize::from(symbol)) * self.filters();
        self.table.get(start..start + self.filters()).unwrap_or_default()
    }

    /// Every filter's value for the window that starts at `window[0]`; what lies behind the end adds nothing.
    pub(crate) fn values(&self, window: &[u8], out: &mut [i16]) {
        out.copy_from_slice(&self.bias);
        for (position, &symbol) in window.iter().take(self.width).enumerate() {
            for (sum, &value) in out.iter_mut().zip(self.row(position, symbol)) {
                // Does not overflow: the file was refused otherwise.
                *sum += value;
            }
        }
    }
}

/// A network that was read, and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CharacterModel {
    pub(crate) convolutions: Vec<Convolution>,
    /// Known suffixes in ascending order of their bytes; vector `i + 1` is the one of suffix `i`.
    pub(crate) suffixes: Vec<Box<[u8]>>,
    /// One per suffix, the unknown one's first, each of `embedding` numbers.
    pub(crate) vectors: Vec<i16>,
    pub(crate) embedding: usize,
    pub(crate) hidden_bias: Vec<i32>,
    /// Hidden unit x input.
    pub(crate) hidden: Vec<i16>,
    pub(crate) output: Vec<i16>,
    pub(crate) output_bias: i64,
    /// The margin is the output by this power of two.
    pub(crate) scale: f64,
    /// Mean of every input over the training rows.
    pub(crate) means: Vec<i16>,
    /// Mean margin over the training rows.
    pub(crate) base: f64,
}

impl CharacterModel {
    /// Log odds that the host is malicious, as the network was trained to tell them. Finite for any text.
    ///
    /// `host` is in normal form: lower case, no trailing dot, internationalised labels as `xn--`.
    pub fn margin(&self, host: &str) -> f64 {
        let text = Text::new(host);
        let mut inputs = Vec::with_capacity(self.inputs());
        for convolution in &self.convolutions {
            pool(convolution, text.symbols(), &mut inputs);
        }
        inputs.extend_from_slice(self.vector(text.suffix));
        self.head(&inputs, |_, _| ())
    }

    /// Mean margin over the rows that the network was trained on.
    pub fn base_margin(&self) -> f64 {
        self.base
    }

    /// Numbers that the hidden layer reads.
    pub(crate) fn inputs(&self) -> usize {
        self.filters() + self.embedding
    }

    pub(crate) fn filters(&self) -> usize {
        self.convolutions.iter().map(Convolution::filters).sum()
    }

    /// The vector of a suffix.
    pub(crate) fn vector(&self, suffix: &[u8]) -> &[i16] {
        let row = self.suffixes.binary_search_by(|known| known.as_ref().cmp(suffix)).map_or(0, |at| at + 1);
        self.vectors.get(row * self.embedding..(row + 1) * self.embedding).unwrap_or_default()
    }

    /// Hidden layer and output; `active` is told of every hidden unit above 0: its weights, and its weight.
    pub(crate) fn head(&self, inputs: &[i16], mut active: impl FnMut(&[i16], i16)) -> f64 {
        let mut output = self.output_bias;
        let units = self.hidden.chunks_exact(self.inputs().max(1)).zip(&self.hidden_bias).zip(&self.output);
        for ((weights, &bias), &weight) in units {
            // Neither sum overflows: the file was refused otherwise.
            let sum = bias + dot(weights, inputs);
            if sum > 0 {
                output += i64::from(sum) * i64::from(weight);
                active(weights, weight);
            }
        }
        output as f64 * self.scale
    }
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Appends every filter's greatest value over the windows, at least 0.
fn pool(convolution: &Convolution, symbols: &[u8], inputs: &mut Vec<i16>) {
    let (first, filters) = (inputs.len(), convolution.filters());
    inputs.resize(first + filters, 0);
    let Some(greatest) = inputs.get_mut(first..) else { return };
    let mut values = [0_i16; MAX_FILTERS];
    let Some(values) = values.get_mut(..filters) else { return };
    for start in 0..symbols.len() {
        convolution.values(symbols.get(start..).unwrap_or_default(), values);
        for (greatest, &value) in greatest.iter_mut().zip(values.iter()) {
            *greatest = (*greatest).max(value);
        }
    }
}
