//! Buffers of cache lines: what the fast engines' layouts lie in, whether built here or read from a compiled file.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::pages::Pages;

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; LINE]);

/// A run of cache lines in a shared buffer; cheap to clone.
#[derive(Clone)]
pub(crate) struct Lines {
    buffer: Arc<Pages>,
    range: Range<usize>,
}

impl Lines {
    /// The lines from `first` on, `count` of them; `None` when there are not so many.
    pub(crate) fn slice(&self, first: usize, count: usize) -> Option<Self> {
        let start = self.range.start.checked_add(first)?;
        let end = start.checked_add(count)?;
        (end <= self.range.end).then(|| Self { buffer: Arc::clone(&self.buffer), range: start..end })
    }

    /// The whole run.
    pub(crate) fn as_slice(&self) -> &[Line] {
        &self.buffer[self.range.clone()]
    }

    /// The run as values of `T`, whose alignment is at most a line's; what does not fill a `T` at the end is left
    /// out.
    pub(crate) fn cast<T: Pod>(&self) -> &[T] {
        const { assert!(align_of::<T>() <= LINE && size_of::<T>() > 0) }
        let bytes: &[u8] = bytemuck::cast_slice(self.as_slice());
        bytemuck::cast_slice(&bytes[..bytes.len() / size_of::<T>() * size_of::<T>()])
    }

    /// Number of lines.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

impl From<Pages> for Lines {
    fn from(pages: Pages) -> Self {
        let range = 0..pages.len();
        Self { buffer: Arc::new(pages), range }
    }
}

impl From<Vec<Line>> for Lines {
    fn from(lines: Vec<Line>) -> Self {
        let mut pages = Pages::zeroed(lines.len());
        pages.copy_from_slice(&lines);
        pages.into()
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lines({} x {LINE} bytes)", self.len())
    }
}

/// Bytes that are written from front to back, and become lines.
#[derive(Default)]
pub(crate) struct LinesBuilder {
    bytes: Vec<u8>,
}

impl LinesBuilder {
    /// Appends values; gives the byte offset of the first.
    pub(crate) fn extend<T: Pod>(&mut self, values: &[T]) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytemuck::cast_slice(values));
        at
    }

    /// Appends zeros up to a multiple of `alignment`; gives the offset reached.
    pub(crate) fn align(&mut self, alignment: usize) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        self.bytes.len()
    }

    /// The bytes as they are.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The lines, the last one filled up with zeros.
    pub(crate) fn finish(self) -> Lines {
        let mut lines = Pages::zeroed(self.bytes.len().div_ceil(LINE));
        bytemuck::cast_slice_mut::<Line, u8>(&mut lines)[..self.bytes.len()].copy_from_slice(&self.bytes);
        lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_aligned() {
        let mut builder = LinesBuilder::default();
        assert_eq!(builder.extend(&[1.5_f32, -2.0]), 0);
        assert_eq!(builder.align(64), 64);
        assert_eq!(builder.extend(&[9_u8]), 64);
        assert_eq!(builder.extend(&[7_u8; 64]), 65);
        let lines = builder.finish();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines.cast::<f32>()[..3], [1.5, -2.0, 0.0]);
        let tail = lines.slice(1, 2).unwrap();
        assert_eq!((tail.cast::<u8>()[0], tail.cast::<u8>()[64], tail.cast::<u8>()[65]), (9, 7, 0));
        assert!(lines.slice(1, 3).is_none() && tail.slice(2, 1).is_none());
        assert!(lines.slice(usize::MAX, 2).is_none());
    }
}
