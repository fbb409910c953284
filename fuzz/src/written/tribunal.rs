//! The format of `crates/forest/FORMAT.md`, version 2.

use super::{Choices, Node, Written, covers, join};

pub(super) fn write(forest: &Written, choices: &mut Choices<'_>) -> String {
    let mean = choices.one_in(2);
    // A mean of several outputs needs leaves with one value per output.
    let vectors = forest.outputs > 1 && (mean || choices.one_in(2));
    let trees = join(
        forest
            .trees
            .iter()
            .enumerate()
            .map(|(i, nodes)| tree(i % forest.outputs, nodes, forest.outputs, vectors, choices)),
    );
    let sum = match mean {
        true => r#""aggregation":"mean""#.to_owned(),
        false => {
            let start = join((0..forest.outputs).map(|_| format!("{:e}", choices.number())));
            format!(r#""aggregation":"sum","start":[{start}]"#)
        }
    };
    format!(
        r#"{{"format":"tribunal-forest","version":2,"n_features":{},"n_outputs":{},{sum},
        "link":{{"name":"identity"}},"trees":[{trees}]}}"#,
        forest.features, forest.outputs
    )
}

fn tree(output: usize, nodes: &[Node], outputs: usize, vectors: bool, choices: &mut Choices<'_>) -> String {
    let split = |node: &Node, leaf: i64, of: fn(&super::Split) -> usize| match node {
        Node::Leaf => leaf,
        Node::Split(split) => of(split) as i64,
    };
    let leaves = nodes.iter().filter(|node| matches!(node, Node::Leaf)).count();
    let (member, n_values) = if vectors { ("values", leaves * outputs) } else { ("value", nodes.len()) };
    let thresholds: Vec<String> = nodes
        .iter()
        .map(|node| match node {
            Node::Split(split) if !choices.one_in(40) => format!("{:e}", split.threshold),
            _ => "null".to_owned(),
        })
        .collect();
    let output = if outputs > 1 && !vectors { format!(r#""output":{output},"#) } else { String::new() };
    format!(
        r#"{{{output}"children_left":[{}],"children_right":[{}],"feature":[{}],"threshold":[{}],
        "missing_go_to_left":[{}],"{member}":[{}],"cover":[{}],{}}}"#,
        join(nodes.iter().map(|node| split(node, -1, |s| s.left))),
        join(nodes.iter().map(|node| split(node, -1, |s| s.right))),
        join(nodes.iter().map(|node| split(node, -1, |s| s.feature))),
        thresholds.join(","),
        join(nodes.iter().map(|node| split(node, 0, |s| s.missing % 2))),
        join((0..n_values).map(|_| format!("{:e}", f64::from(choices.number()) / 3.0))),
        join(covers(nodes, choices)),
        categories(nodes),
    )
}

fn categories(nodes: &[Node]) -> String {
    let (mut sets, mut of) = (Vec::new(), Vec::new());
    for node in nodes {
        match node {
            Node::Split(super::Split { set: Some(set), .. }) => {
                of.push(sets.len() as i64);
                sets.push(format!("[{}]", join(set)));
            }
            _ => of.push(-1),
        }
    }
    format!(r#""category_sets":[{}],"category_set":[{}]"#, sets.join(","), join(of))
}
