//! A reader of FlatBuffers that checks every offset before it follows it.
//!
//! Layout, little-endian: an offset (u32) counts from where it stands. A table starts with the distance (i32) back
//! to its vtable: the vtable's own size in bytes, the table's size (u16 each), then per field the distance (u16) from
//! the table's start, or 0 for a field that is absent. A vector is its length (u32) and its elements; a string is
//! a vector of bytes. Source: "FlatBuffer Internals" of the FlatBuffers documentation.
//!
//! Two offsets may lead to one place, so that a small file may look large: who reads vectors of tables has to bound
//! the sum of what is in them.

use crate::Format;
use crate::error::ParseError;

/// The bytes of a buffer that starts `start` bytes behind the start of the file.
#[derive(Clone, Copy)]
pub(super) struct Buffer<'a> {
    bytes: &'a [u8],
    start: usize,
}

/// A table of a buffer.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: Buffer<'a>,
    at: usize,
    vtable: usize,
    /// Bytes of the vtable.
    vtable_len: usize,
}

/// A vector of a buffer, whose bytes are there.
#[derive(Clone, Copy)]
pub(super) struct Vector<'a> {
    buffer: Buffer<'a>,
    /// Of the first element.
    at: usize,
    len: usize,
}

impl<'a> Buffer<'a> {
    pub(super) fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { bytes, start }
    }

    /// The error of what stands at `at`.
    fn error(self, at: usize, reason: impl Into<String>) -> ParseError {
        let offset = self.start.saturating_add(at);
        ParseError::Bytes { format: Format::CatboostCbm, offset, reason: reason.into() }
    }

    fn get<const N: usize>(self, at: usize) -> Result<[u8; N], ParseError> {
        let end = at.checked_add(N);
        let bytes = end.and_then(|end| self.bytes.get(at..end)).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| self.error(at, format!("{N} bytes wanted, the buffer has {}", self.bytes.len())))
    }

    fn u16(self, at: usize) -> Result<u16, ParseError> {
        self.get(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Result<u32, ParseError> {
        self.get(at).map(u32::from_le_bytes)
    }

    /// Where the offset at `at` leads to.
    fn follow(self, at: usize) -> Result<usize, ParseError> {
        let offset = self.u32(at)? as usize;
        at.checked_add(offset).ok_or_else(|| self.error(at, format!("offset {offset} is too large")))
    }

    pub(super) fn root(self) -> Result<Table<'a>, ParseError> {
        self.table(0)
    }

    /// The table that the offset at `at` leads to.
    fn table(self, at: usize) -> Result<Table<'a>, ParseError> {
        let at = self.follow(at)?;
        let back = i64::from(self.get(at).map(i32::from_le_bytes)?);
        let vtable = usize::try_from(at as i64 - back)
            .map_err(|_| self.error(at, format!("vtable {back} bytes before a table")))?;
        let vtable_len = usize::from(self.u16(vtable)?);
        Ok(Table { buffer: self, at, vtable, vtable_len })
    }

    /// The vector of elements of `size` bytes that the offset at `at` leads to.
    fn vector(self, at: usize, size: usize) -> Result<Vector<'a>, ParseError> {
        let start = self.follow(at)?;
        let len = self.u32(start)? as usize;
        let at = start.saturating_add(4);
        let left = self.bytes.len().saturating_sub(at);
        if len > left / size {
            return Err(
                self.error(start, format!("{len} elements of {size} bytes, but {left} bytes are left"))
            );
        }
        Ok(Vector { buffer: self, at, len })
    }
}

impl<'a> Table<'a> {
    /// Where a field stands, if it is there. Fields are counted from 0 in the order of the schema.
    fn field(self, number: usize) -> Result<Option<usize>, ParseError> {
        let slot = 4 + 2 * number;
        if slot + 2 > self.vtable_len {
            return Ok(None);
        }
        let distance = usize::from(self.buffer.u16(self.vtable + slot)?);
        Ok((distance != 0).then_some(self.at + distance))
    }

    fn scalar<const N: usize, T>(
        self,
        number: usize,
        default: T,
        read: fn([u8; N]) -> T,
    ) -> Result<T, ParseError> {
        self.field(number)?.map_or(Ok(default), |at| self.buffer.get(at).map(read))
    }

    pub(super) fn u8(self, number: usize) -> Result<u8, ParseError> {
        self.scalar(number, 0, u8::from_le_bytes)
    }

    pub(super) fn i32(self, number: usize, default: i32) -> Result<i32, ParseError> {
        self.scalar(number, default, i32::from_le_bytes)
    }

    pub(super) fn f64(self, number: usize, default: f64) -> Result<f64, ParseError> {
        self.scalar(number, default, f64::from_le_bytes)
    }

    pub(super) fn table(self, number: usize) -> Result<Option<Table<'a>>, ParseError> {
        self.field(number)?.map(|at| self.buffer.table(at)).transpose()
    }

    /// A vector of elements of `size` bytes; one that is not there is empty.
    fn vector(self, number: usize, size: usize) -> Result<Vector<'a>, ParseError> {
        let empty = Vector { buffer: self.buffer, at: 0, len: 0 };
        self.field(number)?.map_or(Ok(empty), |at| self.buffer.vector(at, size))
    }

    /// A string; empty if it is not there.
    pub(super) fn string(self, number: usize) -> Result<&'a str, ParseError> {
        let vector = self.vector(number, 1)?;
        std::str::from_utf8(vector.bytes(1)).map_err(|_| self.buffer.error(vector.at, "text is not UTF-8"))
    }

    /// Whether a string is `expected`.
    pub(super) fn is_string(self, number: usize, expected: &str) -> Result<bool, ParseError> {
        Ok(self.vector(number, 1)?.bytes(1) == expected.as_bytes())
    }

    pub(super) fn tables(self, number: usize) -> Result<Vector<'a>, ParseError> {
        self.vector(number, 4)
    }

    /// A vector of scalars, or of structs without holes between their fields.
    pub(super) fn values<const N: usize, T>(
        self,
        number: usize,
        read: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ParseError> {
        let (elements, _) = self.vector(number, N)?.bytes(N).as_chunks::<N>();
        Ok(elements.iter().map(|&element| read(element)).collect())
    }

    /// The length of a vector whose elements take at least `size` bytes.
    pub(super) fn count(self, number: usize, size: usize) -> Result<usize, ParseError> {
        Ok(self.vector(number, size)?.len)
    }

    /// The error of a field.
    pub(super) fn error(self, number: usize, reason: impl Into<String>) -> ParseError {
        let at = self.field(number).ok().flatten().unwrap_or(self.at);
        self.buffer.error(at, reason)
    }
}

impl<'a> Vector<'a> {
    fn bytes(self, size: usize) -> &'a [u8] {
        self.buffer.bytes.get(self.at..self.at + self.len * size).unwrap_or_default()
    }

    /// The tables that the elements lead to.
    pub(super) fn iter(self) -> impl Iterator<Item = Result<Table<'a>, ParseError>> {
        (0..self.len).map(move |i| self.buffer.table(self.at + 4 * i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root table with one field of 4 bytes, a vector of two `i32`.
    const SMALL: [u8; 32] = [
        12, 0, 0, 0, // offset of the root
        6, 0, 8, 0, 4, 0, 0, 0, // vtable: its size, the table's size, the field's distance; padding
        8, 0, 0, 0, // the table: 8 bytes behind its vtable
        4, 0, 0, 0, // the field: offset of the vector
        2, 0, 0, 0, // its length
        7, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF,
    ];

    fn numbers(bytes: &[u8]) -> Result<Vec<i32>, ParseError> {
        Buffer::new(bytes, 8).root()?.values(0, i32::from_le_bytes)
    }

    #[test]
    fn follows_offsets() {
        assert_eq!(numbers(&SMALL).unwrap(), [7, -1]);
        let root = Buffer::new(&SMALL, 0).root().unwrap();
        assert_eq!(root.i32(5, 3).unwrap(), 3);
        assert!(root.table(5).unwrap().is_none());
        assert_eq!(root.string(5).unwrap(), "");
    }

    #[test]
    fn offsets_out_of_the_buffer_are_errors() {
        for cut in 0..SMALL.len() {
            let error = numbers(&SMALL[..cut]).unwrap_err().to_string();
            assert!(error.contains("catboost-cbm model is not readable at byte "), "{error}");
        }
        for (byte, value, expected) in [
            (3, 0xFF, "at byte 4278190100: 4 bytes wanted"),
            (15, 0xFF, "at byte 16777228: 2 bytes wanted"),
            (12, 16, "vtable 16 bytes before a table"),
            (20, 3, "at byte 28: 3 elements of 4 bytes, but 8 bytes are left"),
        ] {
            let mut bytes = SMALL;
            bytes[byte] = value;
            let error = numbers(&bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }
}
