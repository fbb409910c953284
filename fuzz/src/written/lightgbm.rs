//! LightGBM's text.

use super::{Choices, Node, Split, Written, separated};

/// `decision_type` of the kinds of missing values: none (twice, by the threshold's sign), zero, `NaN`; left, right.
const DECISIONS: [u8; 6] = [0, 2, 4, 6, 8, 10];

pub(super) fn write(forest: &Written, choices: &mut Choices<'_>) -> String {
    let objective = if forest.outputs > 1 { "multiclass" } else { "regression" };
    let names = separated((0..forest.features).map(|i| format!("f{i}")), " ");
    let averaged = if choices.one_in(4) { "average_output\n" } else { "" };
    let mut text = format!(
        "tree\nversion=v4\nnum_class={0}\nnum_tree_per_iteration={0}\nmax_feature_idx={1}\n\
        objective={objective}\n{averaged}feature_names={names}\n",
        forest.outputs,
        forest.features - 1,
    );
    for (index, nodes) in forest.trees.iter().enumerate() {
        text += &format!("\nTree={index}\n{}", tree(nodes, choices));
    }
    text + "\nend of trees\n"
}

/// Numbers of the nodes: splits from 0, leaves from -1 downwards.
fn numbers(nodes: &[Node]) -> Vec<i64> {
    let (mut splits, mut leaves) = (0, 0);
    nodes
        .iter()
        .map(|node| match node {
            Node::Leaf => {
                leaves += 1;
                -leaves
            }
            Node::Split(_) => {
                splits += 1;
                splits - 1
            }
        })
        .collect()
}

fn tree(nodes: &[Node], choices: &mut Choices<'_>) -> String {
    let numbers = numbers(nodes);
    let splits: Vec<&Split> = nodes
        .iter()
        .filter_map(|node| match node {
            Node::Split(split) => Some(split),
            Node::Leaf => None,
        })
        .collect();
    let n_leaves = nodes.len() - splits.len();
    let (mut words, mut boundaries, mut thresholds, mut decisions) = (vec![], vec![0], vec![], vec![]);
    for split in &splits {
        match &split.set {
            Some(set) => {
                thresholds.push((boundaries.len() - 1).to_string());
                decisions.push(1);
                words.extend(bits(set));
                boundaries.push(words.len());
            }
            None => {
                thresholds.push(threshold(split.threshold, choices));
                decisions.push(DECISIONS[split.missing]);
            }
        }
    }
    let list = |name: &str, values: String| format!("{name}={values}\n");
    format!("num_leaves={n_leaves}\nnum_cat={}\n", boundaries.len() - 1)
        + &list("split_feature", separated(splits.iter().map(|s| s.feature), " "))
        + &list("threshold", thresholds.join(" "))
        + &list("decision_type", separated(decisions, " "))
        + &list("left_child", separated(splits.iter().map(|s| numbers[s.left]), " "))
        + &list("right_child", separated(splits.iter().map(|s| numbers[s.right]), " "))
        + &list("leaf_value", separated((0..n_leaves).map(|_| leaf(choices)), " "))
        + &list("leaf_count", separated((0..n_leaves).map(|_| choices.below(9)), " "))
        + &list("internal_count", separated(splits.iter().map(|_| choices.below(99)), " "))
        + &if words.is_empty() && boundaries.len() == 1 {
            String::new()
        } else {
            list("cat_boundaries", separated(boundaries, " ")) + &list("cat_threshold", separated(words, " "))
        }
}

/// At an `f32`, a little beside one, or beyond them all.
fn threshold(at: f32, choices: &mut Choices<'_>) -> String {
    let at = f64::from(at);
    match choices.below(16) {
        0 => "1e300".to_owned(),
        1 => "inf".to_owned(),
        2 => format!("{:e}", at.next_up()),
        3 => format!("{:e}", at.next_down()),
        _ => format!("{at:e}"),
    }
}

fn leaf(choices: &mut Choices<'_>) -> String {
    let value = f64::from(choices.number());
    format!("{:e}", if choices.one_in(2) { value } else { value / 3.0 })
}

fn bits(set: &[u32]) -> Vec<u32> {
    let mut words = vec![0; set.last().map_or(1, |last| *last as usize / 32 + 1)];
    set.iter().for_each(|category| words[*category as usize / 32] |= 1 << (category % 32));
    words
}
