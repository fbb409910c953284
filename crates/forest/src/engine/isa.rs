//! Which instructions the processor has.

use std::sync::OnceLock;

/// A set of instructions that the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Isa {
    /// Plain Rust, for every processor.
    Portable,
    /// aarch64, which always has it.
    Neon,
    /// x86-64 with AVX2, BMI1, BMI2 and POPCNT.
    Avx2,
    /// All of [`Isa::Avx2`], and AVX-512 F, BW, DQ, VL, VBMI.
    Avx512,
}

impl Isa {
    /// Every set.
    pub(crate) const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// Whether this processor has it. Every kernel's safety rests on this answer.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vbmi")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(Self::find_best)
    }

    /// As [`Isa::is_available`], from one word in memory: a row alone does not wait for more of them.
    pub(crate) fn is_at_hand(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Neon => Self::best() == Self::Neon,
            Self::Avx2 | Self::Avx512 => Self::best() >= self,
        }
    }

    fn find_best() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_hand_is_what_is_available() {
        for isa in Isa::ALL {
            assert_eq!(isa.is_at_hand(), isa.is_available(), "{isa:?}");
        }
    }
}
