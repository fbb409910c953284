//! What a model file holds.

use std::io;

use serde_json::json;
use tribunal_forest::{Engine, Link};

use super::Loaded;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::{foreign, json_line, table, thousands, write_table};

/// Prints it.
pub(crate) fn run(model: &Loaded, globals: &Globals) -> anyhow::Result<Outcome> {
    let forest = &model.forest;
    let digest = tribunal_core::digest::sha256(&model.bytes);
    let engines: Vec<&str> = Engine::available(forest).into_iter().map(Engine::as_str).collect();
    let mut out = io::stdout().lock();
    if globals.json {
        let value = json!({
            "format": model.format,
            "bytes": model.bytes.len(),
            "digest": digest,
            "source": forest.source(),
            "objective": forest.objective(),
            "link": link(forest.link()),
            "gives_probabilities": forest.link().gives_probabilities(),
            "gives_contributions": forest.has_covers(),
            "outputs": forest.n_outputs(),
            "trees": forest.n_trees(),
            "nodes": forest.n_nodes(),
            "depth": forest.max_depth(),
            "features": forest.n_features(),
            "feature_names": forest.feature_names(),
            "layout": forest.layout(),
            "engines": engines,
        });
        json_line(&mut out, &value)?;
        return Ok(Outcome::Done);
    }
    let source = forest.source().map_or_else(String::new, |source| {
        format!(", compiled from {} of {} bytes, sha256:{}", source.format, source.bytes, source.sha256)
    });
    let names = forest.feature_names().map_or_else(|| "no names".to_owned(), some);
    let facts = [
        ("format", format!("{}{source}", model.format)),
        ("bytes", thousands(model.bytes.len())),
        ("digest", digest),
        ("objective", forest.objective().to_owned()),
        ("link", link(forest.link())),
        ("outputs", thousands(forest.n_outputs())),
        ("trees", thousands(forest.n_trees())),
        ("nodes", thousands(forest.n_nodes())),
        ("depth", thousands(forest.max_depth())),
        ("features", format!("{}: {names}", thousands(forest.n_features()))),
        (
            "contributions",
            if forest.has_covers() { "yes" } else { "no: the file holds no covers" }.to_owned(),
        ),
        ("layout", forest.layout().unwrap_or("none: nodes are walked as they are").to_owned()),
        ("engines here", engines.join(", ")),
    ];
    let mut rows = table(globals.screen(), &[]);
    for (fact, value) in facts {
        rows.add_row([foreign(fact), foreign(&value)]);
    }
    write_table(&mut out, &rows)?;
    Ok(Outcome::Done)
}

/// The first names.
fn some(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
    format!("{}{}", first.join(", "), if names.len() > 6 { ", ..." } else { "" })
}

fn link(link: Link) -> String {
    match link {
        Link::Identity => "identity: the margin is the answer".to_owned(),
        Link::Probability => "none: the margin is the probability".to_owned(),
        Link::Logistic { slope: 1.0 } => "logistic".to_owned(),
        Link::Logistic { slope } => format!("logistic of {slope} x margin"),
        Link::Logit => "logistic; the trainer's predict gives the margin".to_owned(),
        Link::Softmax => "softmax".to_owned(),
        Link::SoftmaxClass => "softmax; the trainer's predict gives the class".to_owned(),
        Link::Exp => "exp".to_owned(),
        Link::Step => "1 if the margin is above zero, else 0".to_owned(),
        Link::SignedSquare => "square with the margin's sign".to_owned(),
        Link::LogOnePlusExp => "ln(1 + exp(margin))".to_owned(),
        Link::PathLength { normal } => format!("2^(-margin / {normal}): near 1 is anomalous"),
        other => format!("{other:?}"),
    }
}
