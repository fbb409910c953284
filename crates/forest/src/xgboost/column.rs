//! Arrays of a tree: one value per node.
//!
//! JSON and what is not typed in UBJSON are read value by value. A typed array of UBJSON, as XGBoost writes
//! them, is taken as a whole ([`crate::ubj::TYPED`]), which is several times as fast.

use serde::Deserialize;
use serde::de::{self, Visitor};

/// Stands for infinity in JSON: the greatest prime below 2^64.
pub(super) const INFINITY: u64 = 18_446_744_073_709_551_557;
/// Stands for minus infinity.
pub(super) const NEGATIVE_INFINITY: i64 = -9_223_372_036_854_775_783;

/// An array, in the order of the nodes.
#[derive(Debug, Clone)]
pub(super) struct Column<T>(pub(super) Vec<T>);

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> std::ops::Deref for Column<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> FromIterator<T> for Column<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A value of a [`Column`].
pub(super) trait Cell: Sized {
    /// Marker of its type in UBJSON.
    const MARKER: usize;
    /// A value by itself.
    type One: for<'de> Deserialize<'de> + Into<Self>;
    /// Values side by side; the number that is none.
    fn all(bytes: &[u8]) -> Result<Vec<Self>, u8>;
}

impl Cell for i32 {
    const MARKER: usize = 0;
    type One = Self;

    fn all(bytes: &[u8]) -> Result<Vec<Self>, u8> {
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| Self::from_be_bytes(*b)).collect())
    }
}

impl Cell for f32 {
    const MARKER: usize = 1;
    type One = Float;

    fn all(bytes: &[u8]) -> Result<Vec<Self>, u8> {
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| Self::from_be_bytes(*b)).collect())
    }
}

impl Cell for bool {
    const MARKER: usize = 2;
    type One = Flag;

    fn all(bytes: &[u8]) -> Result<Vec<Self>, u8> {
        match bytes.iter().find(|&&b| b > 1) {
            Some(&byte) => Err(byte),
            None => Ok(bytes.iter().map(|&b| b == 1).collect()),
        }
    }
}

impl<'de, T: Cell> Deserialize<'de> for Column<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Cell> Visitor<'de> for ColumnVisitor<T> {
            type Value = Column<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Column<T>, E> {
                let wrong = |byte| E::invalid_value(de::Unexpected::Unsigned(u64::from(byte)), &"0 or 1");
                T::all(bytes).map(Column).map_err(wrong)
            }
            fn visit_newtype_struct<D: de::Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Column<T>, D::Error> {
                let values = Vec::<T::One>::deserialize(deserializer)?;
                Ok(values.into_iter().map(Into::into).collect())
            }
        }
        let name = crate::ubj::TYPED[T::MARKER].0;
        deserializer.deserialize_newtype_struct(name, ColumnVisitor(std::marker::PhantomData))
    }
}

impl From<Float> for f32 {
    fn from(value: Float) -> Self {
        value.0
    }
}

impl From<Flag> for bool {
    fn from(value: Flag) -> Self {
        value.0
    }
}

/// A flag, which XGBoost wrote as a boolean up to 1.6 and writes as 0 or 1 since.
#[derive(Clone, Copy)]
pub(super) struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl Visitor<'_> for FlagVisitor {
            type Value = Flag;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a boolean, 0 or 1")
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Flag, E> {
                Ok(Flag(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Flag, E> {
                match v {
                    0 => Ok(Flag(false)),
                    1 => Ok(Flag(true)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(v), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Flag, E> {
                self.visit_i64(i64::try_from(v).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}

/// A number; `NaN` and infinities as [`super::json`] has them.
#[derive(Clone, Copy)]
pub(super) struct Float(f32);

impl<'de> Deserialize<'de> for Float {
    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FloatVisitor;
        impl<'de> Visitor<'de> for FloatVisitor {
            type Value = Float;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }
            fn visit_none<E: de::Error>(self) -> Result<Float, E> {
                Ok(Float(f32::NAN))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Float, E> {
                Ok(Float(f32::NAN))
            }
            // Decimal text must be read as `f32` at once, not by way of `f64`.
            #[inline]
            fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Float, D::Error> {
                deserializer.deserialize_f32(self)
            }
            #[inline]
            fn visit_f32<E: de::Error>(self, v: f32) -> Result<Float, E> {
                Ok(Float(v))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Float, E> {
                Ok(Float(v as f32))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Float, E> {
                Ok(Float(if v == NEGATIVE_INFINITY { f32::NEG_INFINITY } else { v as f32 }))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Float, E> {
                Ok(Float(if v == INFINITY { f32::INFINITY } else { v as f32 }))
            }
        }
        deserializer.deserialize_option(FloatVisitor)
    }
}
