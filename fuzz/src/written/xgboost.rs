//! XGBoost's JSON.

use super::{Choices, Node, Written, covers, join};

pub(super) fn write(forest: &Written, choices: &mut Choices<'_>) -> String {
    let n = forest.trees.len();
    let version = choices.pick(&["[3,4,0]", "[3,1,0]", "[1,7,5]", "[1,2,1]"]);
    // Leaves with one value per output.
    let size = if forest.outputs > 1 && choices.one_in(4) { forest.outputs } else { 1 };
    let trees: Vec<String> =
        forest.trees.iter().enumerate().map(|(id, nodes)| tree(id, nodes, size, choices)).collect();
    let outputs = join((0..n).map(|tree| tree % forest.outputs));
    let model = format!(r#"{{"trees":[{}],"tree_info":[{outputs}]}}"#, trees.join(","));
    let booster = match choices.one_in(4) {
        true => {
            let weights = join((0..n).map(|_| format!("{:e}", choices.number())));
            format!(r#"{{"name":"dart","gbtree":{{"model":{model}}},"weight_drop":[{weights}]}}"#)
        }
        false => format!(r#"{{"name":"gbtree","model":{model}}}"#),
    };
    let objective = if forest.outputs > 1 { "multi:softprob" } else { "reg:squarederror" };
    format!(
        r#"{{"version":{version},"learner":{{"feature_names":[],"gradient_booster":{booster},
        "learner_model_param":{{"base_score":"{:e}","num_class":"{}","num_feature":"{}"}},
        "objective":{{"name":"{objective}"}}}}}}"#,
        choices.number(),
        if forest.outputs > 1 { forest.outputs } else { 0 },
        forest.features,
    )
}

fn tree(id: usize, nodes: &[Node], size: usize, choices: &mut Choices<'_>) -> String {
    let split = |node: &Node, leaf: i64, of: fn(&super::Split) -> usize| match node {
        Node::Leaf => leaf,
        Node::Split(split) => of(split) as i64,
    };
    let infinities = choices.one_in(4);
    let conditions: Vec<String> = nodes
        .iter()
        .map(|node| match node {
            Node::Leaf => format!("{:e}", choices.number()),
            Node::Split(_) if infinities && choices.one_in(16) => {
                choices.pick(&["Infinity", "-Infinity"]).to_owned()
            }
            Node::Split(split) => format!("{:e}", split.threshold),
        })
        .collect();
    let vectors = if size > 1 { size * nodes.len() } else { 0 };
    format!(
        r#"{{"id":{id},"left_children":[{}],"right_children":[{}],"split_indices":[{}],"split_conditions":[{}],
        "default_left":[{}],"sum_hessian":[{}],"base_weights":[{}],{},
        "tree_param":{{"num_deleted":"0","size_leaf_vector":"{size}"}}}}"#,
        join(nodes.iter().map(|node| split(node, -1, |s| s.left))),
        join(nodes.iter().map(|node| split(node, -1, |s| s.right))),
        join(nodes.iter().map(|node| split(node, 0, |s| s.feature))),
        join(conditions),
        join(nodes.iter().map(|node| split(node, 0, |s| s.missing % 2))),
        join(covers(nodes, choices)),
        join((0..vectors).map(|_| format!("{:e}", choices.number()))),
        categories(nodes),
    )
}

/// The sets of a tree: which nodes have one, and where it starts.
fn categories(nodes: &[Node]) -> String {
    let (mut all, mut of, mut segments, mut sizes, mut types) = (vec![], vec![], vec![], vec![], vec![]);
    for (at, node) in nodes.iter().enumerate() {
        let set = match node {
            Node::Split(split) => split.set.as_deref(),
            Node::Leaf => None,
        };
        types.push(u8::from(set.is_some()));
        if let Some(set) = set {
            of.push(at);
            segments.push(all.len());
            sizes.push(set.len());
            all.extend_from_slice(set);
        }
    }
    format!(
        r#""categories":[{}],"categories_nodes":[{}],"categories_segments":[{}],"categories_sizes":[{}],
        "split_type":[{}]"#,
        join(all),
        join(of),
        join(segments),
        join(sizes),
        join(types)
    )
}
