//! How a group of features is declared: next to the code that computes it, in the order of its part of the
//! vector.

use std::borrow::Cow;

use tribunal_core::{Feature, Kind};

/// One declared feature.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) kinds: &'static [Kind],
    pub(crate) unit: &'static str,
    pub(crate) min: f32,
    pub(crate) max: f32,
    pub(crate) meaning: &'static str,
    pub(crate) missing: &'static str,
}

impl Definition {
    pub(crate) fn feature(&self) -> Feature {
        Feature {
            name: Cow::Borrowed(self.name),
            kinds: Cow::Borrowed(self.kinds),
            unit: Cow::Borrowed(self.unit),
            min: self.min,
            max: self.max,
            meaning: Cow::Borrowed(self.meaning),
            missing: Cow::Borrowed(self.missing),
            phrase: Cow::Borrowed(crate::phrases::template(self.name).unwrap_or_default()),
        }
    }
}

/// Declares an enumeration whose variants are positions in the group's part of the vector, and `FEATURES`
/// with their definitions. A line reads `Variant "name" "unit" min max "meaning" "when missing";`, the last
/// text empty if never.
macro_rules! features {
    ($group:ident for $kinds:expr; $($variant:ident $name:literal $unit:literal $min:literal $max:literal
        $meaning:literal $missing:expr;)*) => {
        /// Positions in the group's part of the vector.
        #[derive(Clone, Copy)]
        enum $group { $($variant),* }

        /// The group's features, in the order of its part of the vector.
        pub(crate) const FEATURES: &[$crate::definition::Definition] = &[
            $($crate::definition::Definition {
                name: $name,
                kinds: $kinds,
                unit: $unit,
                min: $min,
                max: $max,
                meaning: $meaning,
                missing: $missing,
            }),*
        ];

        impl $group {
            fn set(self, out: &mut [f32], value: f32) {
                if let Some(place) = out.get_mut(self as usize) {
                    *place = value;
                }
            }
        }
    };
}
pub(crate) use features;

/// Kinds of the features of names.
pub(crate) const DOMAIN: &[Kind] = &[Kind::Domain];
/// Kinds of the features of addresses.
pub(crate) const IP: &[Kind] = &[Kind::Ip];

/// A flag as a number.
pub(crate) fn flag(value: bool) -> f32 {
    if value { 1.0 } else { 0.0 }
}

/// `part / whole`, zero when there is no whole.
pub(crate) fn share(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// A count as a number: names have at most 253 characters, so it is exact.
pub(crate) fn count(value: usize) -> f32 {
    value as f32
}
