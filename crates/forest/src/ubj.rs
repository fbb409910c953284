//! Reads UBJSON as XGBoost writes it, into any type that serde can build.
//!
//! Layout: a value is a marker byte and its content; numbers are big-endian. Strings and keys have a length
//! with its own integer marker. Arrays are `[`, then `$` type `#` count (content only), or `#` count, or
//! values up to `]`; objects are `{`, then keys and values up to `}`. Source: ubjson.org draft 12 and
//! `src/common/json.cc` of XGBoost 3.2. Counted objects, which XGBoost does not write, are refused.
//!
//! Hostile input: a count is held against the bytes that are left before anything is taken, nesting is
//! limited to [`MAX_NESTING`], and each byte is read at most once.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::error::ParseError;

/// Deepest nesting of arrays and objects; XGBoost's models have 8.
const MAX_NESTING: usize = 32;

/// Names of newtypes that are given a typed array as a whole, and the marker that the array must have; of any
/// other they are given the values.
pub(crate) const TYPED: [(&str, u8); 3] = [("ubj i32", b'l'), ("ubj f32", b'd'), ("ubj u8", b'U')];

/// Reads one value that fills `bytes`.
pub(crate) fn from_slice<'de, T: de::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ParseError> {
    let mut reader = Reader { bytes, at: 0, nesting: 0 };
    let value = T::deserialize(&mut reader)
        .and_then(|value| match bytes.len() - reader.at {
            0 => Ok(value),
            more => Err(Error(format!("{more} bytes after the end of the model"))),
        })
        .map_err(|Error(reason)| ParseError::Ubj { offset: reader.at, reason })?;
    Ok(value)
}

/// What is wrong; the place is where the reader stands.
#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Self(msg.to_string())
    }
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    nesting: usize,
}

impl<'de> Reader<'de> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn peek(&self) -> Result<u8, Error> {
        self.bytes.get(self.at).copied().ok_or_else(|| Error("the file ends here".to_owned()))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        match self.byte()? {
            b if b == byte => Ok(()),
            b => Err(Error(format!("'{}' instead of '{}'", b.escape_ascii(), byte.escape_ascii()))),
        }
    }

    fn take(&mut self, n: usize) -> Result<&'de [u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..n) else {
            return Err(Error(format!("{n} bytes announced, {} left", rest.len())));
        };
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// A count or a length: an integer with its marker, not more than the bytes that are left divided by
    /// `size`.
    fn count(&mut self, size: usize) -> Result<usize, Error> {
        let marker = self.byte()?;
        let value = self.integer(marker)?;
        match usize::try_from(value) {
            Ok(n) if n.checked_mul(size).is_some_and(|bytes| bytes <= self.left()) => Ok(n),
            _ => Err(Error(format!("count {value}, but {} bytes are left", self.left()))),
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Error> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(Error(format!("marker '{}' instead of an integer's", marker.escape_ascii()))),
        })
    }

    fn text(&mut self) -> Result<&'de str, Error> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|e| Error(format!("text is not UTF-8: {e}")))
    }

    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value, Error> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'i' | b'U' | b'I' | b'l' | b'L' => visitor.visit_i64(self.integer(marker)?),
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'[' => self.nested(|reader| {
                let items = reader.items()?;
                let mut sequence = Sequence { reader, items };
                let value = visitor.visit_seq(&mut sequence)?;
                sequence.finish()?;
                Ok(value)
            }),
            b'{' => self.nested(|reader| {
                if reader.peek()? == b'#' || reader.peek()? == b'$' {
                    return Err(Error("counted object, which xgboost does not write".to_owned()));
                }
                let mut object = Object { reader, ended: false };
                let value = visitor.visit_map(&mut object)?;
                match object.ended {
                    true => Ok(value),
                    false => Err(Error("object has more members than expected".to_owned())),
                }
            }),
            _ => Err(Error(format!("unknown marker '{}'", marker.escape_ascii()))),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.nesting == MAX_NESTING {
            return Err(Error(format!("nested deeper than the limit {MAX_NESTING}")));
        }
        self.nesting += 1;
        let value = read(self)?;
        self.nesting -= 1;
        Ok(value)
    }

    /// The head of an array, after `[`.
    fn items(&mut self) -> Result<Items, Error> {
        match self.peek()? {
            b'$' => {
                self.at += 1;
                let marker = self.byte()?;
                let Some(size) = fixed_size(marker) else {
                    return Err(Error(format!("array of type '{}'", marker.escape_ascii())));
                };
                self.expect(b'#')?;
                Ok(Items::Typed { marker, size, left: self.count(size)? })
            }
            b'#' => {
                self.at += 1;
                Ok(Items::Counted { left: self.count(1)? })
            }
            _ => Ok(Items::Terminated { ended: false }),
        }
    }
}

/// Bytes of a value in a typed array; `None` for types that may not stand there.
fn fixed_size(marker: u8) -> Option<usize> {
    match marker {
        b'i' | b'U' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}

/// What is left of an array.
enum Items {
    Typed { marker: u8, size: usize, left: usize },
    Counted { left: usize },
    Terminated { ended: bool },
}

struct Sequence<'r, 'de> {
    reader: &'r mut Reader<'de>,
    items: Items,
}

impl Sequence<'_, '_> {
    /// Fails when the visitor stopped before the end.
    fn finish(&self) -> Result<(), Error> {
        match self.items {
            Items::Typed { left: 0, .. } | Items::Counted { left: 0 } | Items::Terminated { ended: true } => {
                Ok(())
            }
            _ => Err(Error("array has more values than expected".to_owned())),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Sequence<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        match &mut self.items {
            Items::Typed { left: 0, .. } | Items::Counted { left: 0 } | Items::Terminated { ended: true } => {
                Ok(None)
            }
            Items::Typed { marker, left, .. } => {
                *left -= 1;
                let marker = *marker;
                seed.deserialize(Element { reader: self.reader, marker }).map(Some)
            }
            Items::Counted { left } => {
                *left -= 1;
                seed.deserialize(&mut *self.reader).map(Some)
            }
            Items::Terminated { ended } => {
                if self.reader.peek()? == b']' {
                    self.reader.at += 1;
                    *ended = true;
                    return Ok(None);
                }
                seed.deserialize(&mut *self.reader).map(Some)
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        match self.items {
            Items::Typed { left, .. } | Items::Counted { left } => Some(left),
            Items::Terminated { .. } => None,
        }
    }
}

struct Object<'r, 'de> {
    reader: &'r mut Reader<'de>,
    ended: bool,
}

impl<'de> MapAccess<'de> for &mut Object<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.ended || self.reader.peek()? == b'}' {
            if !self.ended {
                self.reader.at += 1;
            }
            self.ended = true;
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let marker = self.byte()?;
        self.value(marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == b'Z' {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let marker = TYPED.into_iter().find(|typed| typed.0 == name).map(|typed| typed.1);
        let head = self.bytes.get(self.at..self.at.saturating_add(3));
        if let (Some(marker), Some(&[b'[', b'$', found])) = (marker, head)
            && marker == found
        {
            self.at += 1;
            if let Items::Typed { size, left, .. } = self.items()? {
                return visitor.visit_borrowed_bytes(self.take(size * left)?);
            }
        }
        visitor.visit_newtype_struct(self)
    }

    /// Skips; a typed array in one step.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == b'[' && self.bytes.get(self.at + 1) == Some(&b'$') {
            self.at += 1;
            if let Items::Typed { size, left, .. } = self.items()? {
                self.take(size * left)?;
                return visitor.visit_unit();
            }
        }
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// A value of a typed array: its marker stands in the array's head.
struct Element<'r, 'de> {
    reader: &'r mut Reader<'de>,
    marker: u8,
}

impl<'de> de::Deserializer<'de> for Element<'_, 'de> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any option
    }
}
