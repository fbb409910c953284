//! Top-level domain, public suffix and provider of a name, and the scripts that it is written in.

use unicode_script::{Script, UnicodeScript};

use crate::definition::{DOMAIN, count, features, flag, share};
use crate::lexicon::RateTable;
use crate::lists::Lists;
use crate::name::Name;

features! { Host for DOMAIN;
    TldLength "tld_length" "characters" 2.0 63.0 "length of the top-level domain" "";
    TldCountry "tld_country" "flag" 0.0 1.0 "the top-level domain has two letters: a country code" "";
    TldLegacy "tld_legacy" "flag" 0.0 1.0
        "the top-level domain is one of those before 2013 that are no country codes" "";
    TldCheap "tld_cheap" "flag" 0.0 1.0
        "the top-level domain is one of those that have been sold cheap or given away" "";
    TldRestricted "tld_restricted" "flag" 0.0 1.0
        "names under the top-level domain are given only after a check" "";
    TldRate "tld_rate" "ratio" 0.0 1.0
        "smoothed share of malicious names under the top-level domain in training" "no such table";
    TldSupport "tld_support" "log10" 0.0 10.0
        "log10 of 1 + names under the top-level domain in training" "no such table";
    SuffixLabels "suffix_labels" "count" 1.0 8.0 "labels of the public suffix" "";
    SuffixPrivate "suffix_private" "flag" 0.0 1.0 "the public suffix is a company's, not a registry's" "";
    DynamicDns "provider_dynamic_dns" "flag" 0.0 1.0 "a name of a provider of dynamic DNS or tunnels" "";
    FreeHosting "provider_free_hosting" "flag" 0.0 1.0
        "a name of a provider of free web space or free names" "";
    Cloud "provider_cloud" "flag" 0.0 1.0 "a name of a cloud, platform or content network" "";
    Blog "provider_blog" "flag" 0.0 1.0 "a name of a host of blogs, shops, forms or built sites" "";
    Shortener "provider_shortener" "flag" 0.0 1.0 "a link shortener, or a name of one" "";
    Idn "idn_labels" "count" 0.0 127.0 "internationalised labels" "";
    NonAscii "idn_non_ascii_share" "ratio" 0.0 1.0 "characters that are not ASCII, of the Unicode form" "";
    Scripts "idn_scripts" "count" 0.0 127.0 "most scripts in one label (ASCII: one)" "";
    Mixed "idn_mixed_script" "flag" 0.0 1.0 "a label mixes scripts that no language writes together" "";
    Confusable "idn_confusable_share" "ratio" 0.0 1.0
        "characters that look like an ASCII letter but are none, of the Unicode form" "";
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, lists: &Lists, rates: Option<&RateTable<'_>>, out: &mut [f32]) {
    let tld = name.tld();
    let class = lists.tld(tld);
    Host::TldLength.set(out, count(tld.len()));
    Host::TldCountry.set(out, flag(tld.len() == 2));
    Host::TldLegacy.set(out, flag(class.legacy));
    Host::TldCheap.set(out, flag(class.cheap));
    Host::TldRestricted.set(out, flag(class.restricted));
    if let Some((rate, support)) = rates.and_then(|table| table.get(tld.as_bytes())) {
        Host::TldRate.set(out, rate);
        Host::TldSupport.set(out, (1.0 + support).log10());
    }
    Host::SuffixLabels.set(out, count(name.suffix.split('.').count().min(8)));
    Host::SuffixPrivate.set(out, flag(name.private));
    let providers = lists.providers(name.host);
    let classes = [Host::DynamicDns, Host::FreeHosting, Host::Cloud, Host::Blog, Host::Shortener];
    for (bit, feature) in classes.into_iter().enumerate() {
        feature.set(out, flag(providers >> bit & 1 == 1));
    }
    match &name.unicode {
        Some(text) => international(name, text, lists, out),
        None => {
            for feature in [Host::Idn, Host::NonAscii, Host::Mixed, Host::Confusable] {
                feature.set(out, 0.0);
            }
            Host::Scripts.set(out, 1.0);
        }
    }
}

fn international(name: &Name<'_>, text: &str, lists: &Lists, out: &mut [f32]) {
    let characters = text.chars().filter(|c| *c != '.').count();
    let non_ascii = text.chars().filter(|c| !c.is_ascii()).count();
    let confusable =
        text.chars().filter(|c| lists.confusables.fold(*c).is_some() && c.script() != Script::Latin);
    let (mut most, mut mixed) = (0, false);
    for label in text.split('.') {
        let (scripts, odd) = scripts(label);
        most = most.max(scripts);
        mixed |= odd;
    }
    Host::Idn.set(out, count(name.host.split('.').filter(|label| label.starts_with("xn--")).count()));
    Host::NonAscii.set(out, share(non_ascii, characters));
    Host::Confusable.set(out, share(confusable.count(), characters));
    Host::Scripts.set(out, count(most));
    Host::Mixed.set(out, flag(mixed));
}

/// How many scripts a label holds, and whether their mixture is one that no language has. Japanese, Korean
/// and Chinese write several scripts together, and Latin among them (UTS 39, highly restrictive).
fn scripts(label: &str) -> (usize, bool) {
    let mut found: [Option<Script>; 8] = [None; 8];
    let mut number = 0;
    for script in label.chars().map(|c| c.script()) {
        let shared = matches!(script, Script::Common | Script::Inherited | Script::Unknown);
        if !shared && number < found.len() && !found[..number].contains(&Some(script)) {
            found[number] = Some(script);
            number += 1;
        }
    }
    let has = |script| found.contains(&Some(script));
    let east_asian =
        has(Script::Han) || has(Script::Hiragana) || has(Script::Katakana) || has(Script::Hangul);
    let together = |script: Script| {
        matches!(
            script,
            Script::Latin
                | Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Hangul
                | Script::Bopomofo
        )
    };
    let all_together = found[..number].iter().flatten().all(|script| together(*script));
    (number, number > 1 && !(east_asian && all_together))
}

#[cfg(test)]
mod tests {
    #[test]
    fn mixtures_that_languages_have_are_not_odd() {
        for (label, expected) in [
            ("paypal", (1, false)),
            ("pаypal", (2, true)),
            ("日本ネット", (2, false)),
            ("tokyo日本", (2, false)),
            ("пример", (1, false)),
            ("日本пр", (2, true)),
            ("123", (0, false)),
        ] {
            assert_eq!(super::scripts(label), expected, "{label}");
        }
    }
}
