//! How likely the registrable label and the subdomain are under character language models of benign names, of
//! generated names, and of phishing names. Of an internationalised label, its ASCII reading is judged.
//!
//! Means are taken over the characters and the end mark; a label of n characters has n + 1 terms.

use crate::definition::{DOMAIN, features, share};
use crate::extractor::Models;
use crate::name::Name;

const NO_MODEL: &str = "no such model, or the label has no ASCII reading";
const NO_MODELS: &str = "one of the models is absent, or the label has no ASCII reading";
const NO_MODELS_OR_SUB: &str = "one of the models is absent, or no subdomain";
const NO_MODEL_OR_SUB: &str = "no such model, or no subdomain";

features! { Language for DOMAIN;
    Benign "lm_benign_mean" "nats per character" -28.5 0.0
        "mean log-likelihood of the label under the model of benign names" NO_MODEL;
    BenignMin "lm_benign_min" "nats" -28.5 0.0 "least log-likelihood of one character of the label" NO_MODEL;
    BenignWorst "lm_benign_worst_window" "nats per character" -28.5 0.0
        "least mean over five characters in a row" NO_MODEL;
    BenignStart "lm_benign_start" "nats per character" -28.5 0.0
        "mean over the first three characters" NO_MODEL;
    BenignSpread "lm_benign_spread" "nats per character" 0.0 28.5
        "standard deviation over the characters" NO_MODEL;
    BenignRare "lm_benign_rare_share" "ratio" 0.0 1.0 "characters with a log-likelihood under -5" NO_MODEL;
    Generated "lm_generated_mean" "nats per character" -28.5 0.0
        "mean log-likelihood of the label under the model of generated names" NO_MODEL;
    GeneratedMargin "lm_generated_margin" "nats per character" -28.5 28.5
        "mean under the model of generated names minus mean under the model of benign names" NO_MODELS;
    Phishing "lm_phishing_mean" "nats per character" -28.5 0.0
        "mean log-likelihood of the label under the model of phishing names" NO_MODEL;
    PhishingMargin "lm_phishing_margin" "nats per character" -28.5 28.5
        "mean under the model of phishing names minus mean under the model of benign names" NO_MODELS;
    SubBenign "lm_sub_benign_mean" "nats per character" -28.5 0.0
        "mean log-likelihood of the subdomain's labels under the model of benign names" NO_MODEL_OR_SUB;
    SubBenignWorst "lm_sub_benign_worst_label" "nats per character" -28.5 0.0
        "mean of that label of the subdomain for which it is least" NO_MODEL_OR_SUB;
    SubGenerated "lm_sub_generated_margin" "nats per character" -28.5 28.5
        "subdomain: mean under the model of generated names minus mean under that of benign names"
        NO_MODELS_OR_SUB;
    SubPhishing "lm_sub_phishing_margin" "nats per character" -28.5 28.5
        "subdomain: mean under the model of phishing names minus mean under that of benign names"
        NO_MODELS_OR_SUB;
}

/// Longest text scored: a reading has at most 126 characters.
const MAX_TERMS: usize = 128;
const WINDOW: usize = 5;
const RARE: f32 = -5.0;

fn mean(terms: &[f32]) -> f32 {
    terms.iter().sum::<f32>() / terms.len() as f32
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, models: &Models<'_>, out: &mut [f32]) {
    if let Some(text) = name.text() {
        label(text, models, out);
    }
    if !name.sub.is_empty() {
        subdomain(name.sub, models, out);
    }
}

fn label(text: &[u8], models: &Models<'_>, out: &mut [f32]) {
    let mut buffer = [0.0; MAX_TERMS];
    let mut benign_mean = f32::NAN;
    if let Some(model) = &models.benign {
        let terms = model.score(text, &mut buffer);
        let terms = &buffer[..terms];
        benign_mean = mean(terms);
        let worst = terms.windows(WINDOW.min(terms.len())).map(mean).fold(0.0, f32::min);
        let variance = terms.iter().map(|t| (t - benign_mean).powi(2)).sum::<f32>() / terms.len() as f32;
        Language::Benign.set(out, benign_mean);
        Language::BenignMin.set(out, terms.iter().copied().fold(0.0, f32::min));
        Language::BenignWorst.set(out, worst);
        Language::BenignStart.set(out, mean(&terms[..terms.len().min(3)]));
        Language::BenignSpread.set(out, variance.sqrt());
        Language::BenignRare.set(out, share(terms.iter().filter(|t| **t < RARE).count(), terms.len()));
    }
    if let Some(model) = &models.generated {
        let terms = model.score(text, &mut buffer);
        let mean = mean(&buffer[..terms]);
        Language::Generated.set(out, mean);
        Language::GeneratedMargin.set(out, mean - benign_mean);
    }
    if let Some(model) = &models.phishing {
        let terms = model.score(text, &mut buffer);
        let mean = mean(&buffer[..terms]);
        Language::Phishing.set(out, mean);
        Language::PhishingMargin.set(out, mean - benign_mean);
    }
}

fn subdomain(sub: &str, models: &Models<'_>, out: &mut [f32]) {
    let mut buffer = [0.0; MAX_TERMS];
    let mut over_labels = |model: &crate::lexicon::NgramModel<'_>| {
        let (mut sum, mut terms, mut worst) = (0.0, 0, 0.0_f32);
        for label in sub.split('.') {
            let written = model.score(label.as_bytes(), &mut buffer);
            let of_label: f32 = buffer[..written].iter().sum();
            worst = worst.min(of_label / written as f32);
            sum += of_label;
            terms += written;
        }
        (sum / terms as f32, worst)
    };
    let mut benign_mean = f32::NAN;
    if let Some(model) = &models.benign {
        let (mean, worst) = over_labels(model);
        benign_mean = mean;
        Language::SubBenign.set(out, mean);
        Language::SubBenignWorst.set(out, worst);
    }
    if let Some(model) = &models.generated {
        Language::SubGenerated.set(out, over_labels(model).0 - benign_mean);
    }
    if let Some(model) = &models.phishing {
        Language::SubPhishing.set(out, over_labels(model).0 - benign_mean);
    }
}
