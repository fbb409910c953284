//! Names that use, or come near to, the name of a brand that is not theirs.
//!
//! A text is compared as it stands and with look-alikes folded: `0` to `o`, `1` to `l`, `3` to `e`, `5` to
//! `s`, `rn` to `m`, `vv` to `w`; letters of other scripts were read as the ASCII letters that they look like
//! before.

use crate::brands::Brands;
use crate::definition::{DOMAIN, count, features, flag, share};
use crate::name::Name;

features! { Brand for DOMAIN;
    Own "brand_own" "flag" 0.0 1.0 "the registrable domain belongs to a brand of the list" "";
    Label "brand_label" "flag" 0.0 1.0
        "the label is the name of a brand, under a suffix that is not the brand's" "";
    Part "brand_part" "flag" 0.0 1.0
        "a part of the label between hyphens is the name of a brand that does not own the domain" "";
    Inside "brand_inside" "characters" 0.0 24.0
        "length of the longest foreign brand (five letters or more) inside the label" "";
    InsideShare "brand_inside_share" "ratio" 0.0 1.0 "that length by the length of the label" "";
    Near "brand_near" "flag" 0.0 1.0 "the label or a part of it is one edit away from a foreign brand" "";
    Folded "brand_folded" "flag" 0.0 1.0
        "a foreign brand appears in the label only when look-alikes are folded" "";
    FoldedNear "brand_folded_near" "flag" 0.0 1.0
        "the label or a part of it is, with look-alikes folded, one edit away from a foreign brand" "";
    Script "brand_script" "flag" 0.0 1.0
        "the label is internationalised and its ASCII reading holds a foreign brand" "";
    SubToken "brand_sub_token" "count" 0.0 125.0
        "parts of the subdomain that are the name of a foreign brand" "";
    SubInside "brand_sub_inside" "characters" 0.0 24.0
        "length of the longest foreign brand (five letters or more) inside the subdomain" "";
    SubFolded "brand_sub_folded" "flag" 0.0 1.0
        "a foreign brand appears in the subdomain only when look-alikes are folded, or with one edit" "";
    SubDomain "brand_sub_domain" "flag" 0.0 1.0
        "the subdomain holds a brand's whole domain, as in paypal.com.example.net" "";
}

const MAX_TEXT: usize = 256;

/// `text` with look-alikes folded; `None` when that changes nothing.
fn fold<'b>(text: &[u8], buffer: &'b mut [u8; MAX_TEXT]) -> Option<&'b [u8]> {
    let (mut i, mut length, mut changed) = (0, 0, false);
    while i < text.len() && length < MAX_TEXT {
        let (byte, read) = match &text[i..] {
            [b'r', b'n', ..] => (b'm', 2),
            [b'v', b'v', ..] => (b'w', 2),
            [b'0', ..] => (b'o', 1),
            [b'1', ..] => (b'l', 1),
            [b'3', ..] => (b'e', 1),
            [b'4', ..] => (b'a', 1),
            [b'5', ..] => (b's', 1),
            [byte, ..] => (*byte, 1),
            [] => break,
        };
        changed |= byte != text[i];
        buffer[length] = byte;
        length += 1;
        i += read;
    }
    changed.then(|| &buffer[..length])
}

/// The brands as one name sees them: its own brand's name is no imitation.
struct Foreign<'a> {
    brands: &'a Brands,
    name: &'a Name<'a>,
}

impl Foreign<'_> {
    fn foreign(&self, brand: u16) -> bool {
        !self.brands.owns(brand, self.name.registrable, self.name.label, self.name.suffix)
    }

    fn exact(&self, token: &[u8]) -> bool {
        self.brands.exact(token).is_some_and(|brand| self.foreign(brand))
    }

    fn inside(&self, text: &[u8]) -> usize {
        self.brands.inside(text).filter(|found| self.foreign(found.brand)).map_or(0, |found| found.length)
    }

    fn near(&self, text: &[u8]) -> bool {
        let near = |token: &[u8]| self.brands.near(token).is_some_and(|brand| self.foreign(brand));
        let mut parts = parts(text);
        // A brand that is spelt right is no near miss of another (`gmx` and `gmail` apart, `visa` and
        // `vista`).
        if self.brands.exact(text).is_some() {
            return false;
        }
        near(text)
            || parts.any(|part| part.len() < text.len() && self.brands.exact(part).is_none() && near(part))
    }
}

fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'-' | b'.'))
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, brands: &Brands, out: &mut [f32]) {
    let all = Foreign { brands, name };
    Brand::Own.set(out, flag(brands.is_own(name.registrable)));
    label(&all, out);
    subdomain(&all, out);
}

fn label(all: &Foreign<'_>, out: &mut [f32]) {
    let text = all.name.text().unwrap_or(b"");
    let exact = all.exact(text);
    let part = parts(text).any(|part| all.exact(part));
    let inside = all.inside(text);
    let international = all.name.label.starts_with("xn--");
    Brand::Label.set(out, flag(exact));
    Brand::Part.set(out, flag(part));
    Brand::Inside.set(out, count(inside));
    Brand::InsideShare.set(out, share(inside, text.len()));
    Brand::Near.set(out, flag(all.near(text)));
    Brand::Script.set(out, flag(international && (exact || part || inside > 0)));
    let mut buffer = [0; MAX_TEXT];
    let folded = fold(text, &mut buffer);
    let shows = folded.is_some_and(|f| all.inside(f) > inside || (!part && parts(f).any(|p| all.exact(p))));
    Brand::Folded.set(out, flag(shows));
    Brand::FoldedNear.set(out, flag(folded.is_some_and(|f| all.near(f))));
}

fn subdomain(all: &Foreign<'_>, out: &mut [f32]) {
    let text = all.name.sub.as_bytes();
    let tokens = parts(text).filter(|part| all.exact(part)).count();
    let inside = all.inside(text);
    Brand::SubToken.set(out, count(tokens));
    Brand::SubInside.set(out, count(inside));
    let mut buffer = [0; MAX_TEXT];
    let folded = fold(text, &mut buffer).is_some_and(|f| all.inside(f) > inside);
    Brand::SubFolded.set(out, flag(folded || (tokens == 0 && parts(text).any(|part| all.near(part)))));
    let pairs = || all.name.sub.match_indices('.').map(|(at, _)| start_of_label(all.name.sub, at));
    Brand::SubDomain.set(out, flag(pairs().any(|rest| holds_domain(all, rest))));
}

/// What of `sub` starts with the label that ends at `at`.
fn start_of_label(sub: &str, at: usize) -> &str {
    &sub[sub[..at].rfind('.').map_or(0, |dot| dot + 1)..]
}

/// Whether `rest` starts with a brand's domain of two or three labels that is not this name's.
fn holds_domain(all: &Foreign<'_>, rest: &str) -> bool {
    let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]).skip(1).take(2);
    ends.into_iter().any(|end| all.brands.is_own(&rest[..end]) && &rest[..end] != all.name.registrable)
}
