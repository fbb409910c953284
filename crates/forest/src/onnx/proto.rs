//! The wire format of protocol buffers, as much of it as ONNX needs: fields in the order of the file, each a
//! view of the file's bytes. Nothing is copied but lists of numbers, whose memory is at most eight times
//! their bytes.
//!
//! Source: the encoding guide of protocol buffers (protobuf.dev/programming-guides/encoding). Groups, which
//! were removed from the language, are refused.

use crate::error::ParseError;

/// Bytes of the longest varint.
const MAX_VARINT: usize = 10;

/// A message, or the bytes of a string or packed list: not yet read.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    /// Offset of the first byte in the file.
    pub(crate) at: usize,
}

/// One field of a message.
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    at: usize,
    value: Value<'a>,
}

enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Message<'a>),
}

/// Reads the fields of a message one after the other; ends after the first error.
pub(crate) struct Fields<'a> {
    message: Message<'a>,
    next: usize,
}

fn error(offset: usize, reason: impl Into<String>) -> ParseError {
    ParseError::Onnx { offset, reason: reason.into() }
}

impl<'a> Message<'a> {
    pub(crate) fn fields(self) -> Fields<'a> {
        Fields { message: self, next: 0 }
    }

    /// An error at the start of this message.
    pub(crate) fn error(&self, reason: impl Into<String>) -> ParseError {
        error(self.at, reason)
    }

    /// The numbers of a packed list of `f32`, `f64`, ...
    pub(crate) fn fixed<const N: usize, T>(&self, read: fn([u8; N]) -> T) -> Result<Vec<T>, ParseError> {
        match self.bytes.as_chunks::<N>() {
            (whole, []) => Ok(whole.iter().map(|&bytes| read(bytes)).collect()),
            _ => Err(self.error(format!("{} bytes are not whole numbers of {N}", self.bytes.len()))),
        }
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], ParseError> {
        let left = self.message.bytes.len() - self.next;
        match usize::try_from(count).ok().filter(|&count| count <= left) {
            Some(count) => {
                let bytes = &self.message.bytes[self.next..][..count];
                self.next += count;
                Ok(bytes)
            }
            None => Err(error(self.offset(), format!("{count} bytes, but {left} are left"))),
        }
    }

    fn offset(&self) -> usize {
        self.message.at + self.next
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn varint(&mut self) -> Result<u64, ParseError> {
        let at = self.offset();
        let mut value = 0_u64;
        for shift in (0..MAX_VARINT as u32).map(|i| 7 * i) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(error(at, format!("an integer of more than {MAX_VARINT} bytes")))
    }

    fn field(&mut self) -> Result<Field<'a>, ParseError> {
        let at = self.offset();
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let count = self.varint()?;
                let at = self.offset();
                Value::Bytes(Message { bytes: self.take(count)?, at })
            }
            5 => Value::Fixed32(self.array()?),
            kind => return Err(error(at, format!("field of kind {kind}"))),
        };
        match key >> 3 {
            0 => Err(error(at, "field 0")),
            number => Ok(Field { number, at, value }),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.message.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.next = self.message.bytes.len();
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, expected: &str) -> ParseError {
        error(self.at, format!("field {} is not {expected}", self.number))
    }

    pub(crate) fn message(&self) -> Result<Message<'a>, ParseError> {
        match self.value {
            Value::Bytes(message) => Ok(message),
            _ => Err(self.wrong("a message")),
        }
    }

    pub(crate) fn text(&self) -> Result<&'a str, ParseError> {
        let message = self.message()?;
        std::str::from_utf8(message.bytes).map_err(|e| message.error(format!("a string is not UTF-8: {e}")))
    }

    /// Enumerations and integers are two's complement.
    pub(crate) fn integer(&self) -> Result<i64, ParseError> {
        match self.value {
            Value::Varint(value) => Ok(value as i64),
            _ => Err(self.wrong("an integer")),
        }
    }

    /// One more value of a repeated field, or a packed list of them.
    pub(crate) fn integers(&self, into: &mut Vec<i64>) -> Result<(), ParseError> {
        match self.value {
            Value::Varint(value) => into.push(value as i64),
            Value::Bytes(message) => {
                let mut list = message.fields();
                while list.next < message.bytes.len() {
                    into.push(list.varint()? as i64);
                }
            }
            _ => return Err(self.wrong("integers")),
        }
        Ok(())
    }

    /// As [`Field::integers`].
    pub(crate) fn floats(&self, into: &mut Vec<f32>) -> Result<(), ParseError> {
        match self.value {
            Value::Fixed32(bytes) => into.push(f32::from_le_bytes(bytes)),
            Value::Bytes(message) => into.extend(message.fixed(f32::from_le_bytes)?),
            _ => return Err(self.wrong("floats")),
        }
        Ok(())
    }

    /// As [`Field::integers`].
    pub(crate) fn doubles(&self, into: &mut Vec<f64>) -> Result<(), ParseError> {
        match self.value {
            Value::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            Value::Bytes(message) => into.extend(message.fixed(f64::from_le_bytes)?),
            _ => return Err(self.wrong("doubles")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> Message<'_> {
        Message { bytes, at: 100 }
    }

    fn first(bytes: &[u8]) -> Result<Field<'_>, String> {
        message(bytes).fields().next().unwrap().map_err(|e| e.to_string())
    }

    #[test]
    fn values_of_every_kind_are_read() {
        assert_eq!(first(b"\x08\x96\x01").unwrap().integer().unwrap(), 150);
        assert_eq!(first(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap().integer().unwrap(), -1);
        assert_eq!(first(b"\x12\x07testing").unwrap().text().unwrap(), "testing");
        let mut floats = Vec::new();
        first(b"\x15\0\0\x80\x3f").unwrap().floats(&mut floats).unwrap();
        assert_eq!(floats, [1.0]);
        let mut doubles = Vec::new();
        first(b"\x11\0\0\0\0\0\0\xf0\x3f").unwrap().doubles(&mut doubles).unwrap();
        assert_eq!(doubles, [1.0]);
        let (mut packed, mut single) = (Vec::new(), Vec::new());
        first(b"\x42\x03\x03\x8e\x02").unwrap().integers(&mut packed).unwrap();
        first(b"\x40\x03").unwrap().integers(&mut single).unwrap();
        assert_eq!((packed, single), (vec![3, 270], vec![3]));
    }

    #[test]
    fn what_is_not_sound_is_an_error_with_its_place() {
        let cases: [(&[u8], &str); 7] = [
            (b"\x08", "byte 101: 1 bytes, but 0 are left"),
            (
                b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                "byte 101: an integer of more than 10 bytes",
            ),
            (b"\x12\x7f", "byte 102: 127 bytes, but 0 are left"),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "bytes, but 0 are left"),
            (b"\x0b", "byte 100: field of kind 3"),
            (b"\x00\x00", "byte 100: field 0"),
            (b"\x15\0\0", "byte 101: 4 bytes, but 2 are left"),
        ];
        for (bytes, expected) in cases {
            let error = first(bytes).err().unwrap();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
        let wrong = first(b"\x08\x01").unwrap();
        assert!(wrong.text().unwrap_err().to_string().contains("field 1 is not a message"));
        assert!(first(b"\x12\x03abc").unwrap().floats(&mut Vec::new()).is_err());
        assert!(first(b"\x12\x01\xff").unwrap().text().is_err());
    }
}
