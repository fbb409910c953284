//! Templates of sentences: what a feature's value says to an analyst.
//!
//! ```text
//! template = text | text "|" text        the second where the value is 0
//! {}   the value, at most two decimals
//! {%}  the value times 100, as a percentage
//! {^}  10 to the value, minus 1: of a feature that is log10 of 1 + a count
//! {e}  e to the value, minus 1: of a feature that is ln(1 + a count), as the transform `log1p` makes it
//! (s)  an `s`, unless the number is written as 1
//! ```
//! A text may hold any printable character but braces outside these. Templates come from users, too: rendering
//! takes any text and any number, does not fail, and gives at most [`MAX_SENTENCE_BYTES`].

/// Most bytes of a template.
pub const MAX_TEMPLATE_BYTES: usize = 160;
/// Most bytes of a sentence.
pub const MAX_SENTENCE_BYTES: usize = 256;

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// It is empty, or one of its two texts is.
    #[error("an empty text; write what the value says")]
    Empty,
    /// It is too long.
    #[error("{bytes} bytes; at most {MAX_TEMPLATE_BYTES} are allowed")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// It holds more than two texts.
    #[error("{texts} texts between `|`; one, or two are allowed: the second is for the value 0")]
    Texts {
        /// How many.
        texts: usize,
    },
    /// It holds a character that is not printable.
    #[error("character {0:?} is not printable")]
    Unprintable(char),
    /// It holds a brace that is none of the placeholders.
    #[error("a brace that is none of {{}}, {{%}}, {{^}} and {{e}}")]
    Brace,
}

/// Checks a template.
///
/// # Errors
/// Says what is wrong with it.
pub fn check(template: &str) -> Result<(), PhraseError> {
    if template.len() > MAX_TEMPLATE_BYTES {
        return Err(PhraseError::TooLong { bytes: template.len() });
    }
    if let Some(c) = template.chars().find(|c| c.is_control()) {
        return Err(PhraseError::Unprintable(c));
    }
    let texts = template.split('|').count();
    if texts > 2 {
        return Err(PhraseError::Texts { texts });
    }
    if template.split('|').any(|text| text.trim().is_empty()) {
        return Err(PhraseError::Empty);
    }
    let bare = template.replace("{}", "").replace("{%}", "").replace("{^}", "").replace("{e}", "");
    if bare.contains(['{', '}']) { Err(PhraseError::Brace) } else { Ok(()) }
}

/// The sentence that a template makes of a value. Of a template that is longer than allowed the beginning is taken.
pub fn render(template: &str, value: f32) -> String {
    let template = template.get(..template.floor_char_boundary(MAX_TEMPLATE_BYTES)).unwrap_or_default();
    let (some, zero) = template.split_once('|').map_or((template, None), |(some, zero)| (some, Some(zero)));
    let text = if value == 0.0 { zero.unwrap_or(some) } else { some };
    let mut sentence = text.to_owned();
    let percent = || format!("{} %", number(round(f64::from(value) * 100.0) as f32));
    let forms: [(&str, &dyn Fn() -> String); 4] = [
        ("{}", &|| number(value)),
        ("{%}", &percent),
        ("{^}", &|| count(value, 10.0)),
        ("{e}", &|| count(value, std::f64::consts::E)),
    ];
    let mut one = false;
    for (place, form) in forms {
        if sentence.contains(place) {
            let written = form();
            one |= written == "1";
            sentence = sentence.replace(place, &written);
        }
    }
    let sentence = sentence.replace("(s)", if one { "" } else { "s" });
    cut(sentence)
}

/// A number as people write it: at most two decimals, no sign on zero.
pub fn number(value: f32) -> String {
    if !value.is_finite() || value.abs() >= 1e15 {
        return format!("{value:e}");
    }
    let text = format!("{value:.2}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn count(value: f32, base: f64) -> String {
    let count = base.powf(f64::from(value)) - 1.0;
    if count.is_finite() && count < 1e15 { format!("{:.0}", count.max(0.0)) } else { number(value) }
}

/// A percentage without decimals, or with two where it would be 0 or 100 and is not.
fn round(percent: f64) -> f64 {
    let whole = percent.round();
    if (whole == 0.0 || whole == 100.0) && percent != whole { percent } else { whole }
}

fn cut(mut sentence: String) -> String {
    sentence.truncate(sentence.floor_char_boundary(MAX_SENTENCE_BYTES));
    sentence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_written_for_people() {
        for (template, value, expected) in [
            ("{} hyphens|no hyphens", 3.0, "3 hyphens"),
            ("{} hyphens|no hyphens", 0.0, "no hyphens"),
            ("{} hyphens", -0.0, "0 hyphens"),
            ("{} hyphen(s)", 1.0, "1 hyphen"),
            ("{} hyphen(s)", 2.0, "2 hyphens"),
            ("{%} of it", 0.8339, "83 % of it"),
            ("{%} of it", 0.004, "0.4 % of it"),
            ("{%} of it", 1.0, "100 % of it"),
            ("{^} names", 3.0, "999 names"),
            ("{^} names", 400.0, "400 names"),
            ("{e} feed(s)", 4.0_f32.ln(), "3 feeds"),
            ("{e} feed(s)", 2.0_f32.ln(), "1 feed"),
            ("log-likelihood {}", -4.129, "log-likelihood -4.13"),
            ("{}", f32::INFINITY, "inf"),
        ] {
            assert_eq!(render(template, value), expected);
        }
    }

    #[test]
    fn a_template_that_is_none_is_refused() {
        for (template, expected) in [
            ("", "an empty text"),
            ("a|", "an empty text"),
            ("a|b|c", "3 texts"),
            ("a\u{1b}[2J", "is not printable"),
            ("{value}", "a brace"),
            ("a}", "a brace"),
        ] {
            let error = check(template).unwrap_err().to_string();
            assert!(error.contains(expected), "{template:?}: {error}");
        }
        assert_eq!(check(&"a".repeat(161)), Err(PhraseError::TooLong { bytes: 161 }));
        assert_eq!(check("seen on {} feeds, {%}, {^}|on none"), Ok(()));
    }

    proptest! {
        #[test]
        fn anything_is_rendered(template in ".{0,200}", value in any::<f32>(), times in 1..2_000_usize) {
            prop_assert!(render(&template.repeat(times), value).len() <= MAX_SENTENCE_BYTES);
        }

        #[test]
        fn what_is_checked_leaves_no_brace(template in "[a-e{}%^|]{0,20}", value in any::<f32>()) {
            if check(&template).is_ok() {
                let left = render(&template, value).contains(['{', '}', '|']);
                prop_assert!(!left);
            }
        }
    }
}
