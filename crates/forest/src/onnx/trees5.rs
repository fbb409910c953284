//! `TreeEnsemble` (ai.onnx.ml 5): splits and leaves in lists of their own, trees by the position of their
//! root.

use super::ensemble::{Ensemble, Mode, Part, Split, Weight, category};
use super::graph::{Node, Reals};
use super::trees::{check_length, output};
use crate::error::ParseError;
use crate::{MAX_NODES, MAX_OUTPUTS, MAX_TREES};

/// The lists of splits, all of one length, and of leaves.
struct Lists {
    features: Vec<i64>,
    modes: Vec<Mode>,
    values: Reals,
    yes: Vec<i64>,
    yes_is_leaf: Vec<i64>,
    no: Vec<i64>,
    no_is_leaf: Vec<i64>,
    /// Empty: false everywhere.
    missing_is_true: Vec<i64>,
    leaf_outputs: Vec<i64>,
    leaf_weights: Reals,
}

/// A split or leaf by its position in the lists.
#[derive(Clone, Copy)]
struct At {
    number: i64,
    is_leaf: bool,
}

pub(super) fn read(node: &Node<'_>) -> Result<Ensemble, ParseError> {
    let n_targets = node.integer("n_targets", 1)?;
    let n_outputs = usize::try_from(n_targets).ok().filter(|n| (1..=MAX_OUTPUTS).contains(n));
    let n_outputs = n_outputs.ok_or_else(|| ParseError::Member {
        member: "n_targets",
        reason: format!("{n_targets}, must be in [1, {MAX_OUTPUTS}]"),
    })?;
    let mut ensemble = Ensemble { n_outputs, ..Ensemble::default() };
    ensemble.mean = match node.integer("aggregate_function", 1)? {
        0 => true,
        1 => false,
        other => return Err(ParseError::Unsupported(format!("onnx aggregate_function {other}"))),
    };
    let lists = Lists::read(node, &mut ensemble)?;
    ensemble.double = lists.values.is_double() || lists.leaf_weights.is_double();
    let roots = node.integers("tree_roots")?;
    if roots.len() > MAX_TREES {
        return Err(ParseError::TooLarge { what: "trees", value: roots.len(), limit: MAX_TREES });
    }
    // A split or leaf belongs to one tree, or a short file could name many large ones.
    let mut seen = (vec![false; lists.modes.len()], vec![false; lists.leaf_outputs.len()]);
    for root in roots {
        lists.push_tree(root, &mut seen, &mut ensemble)?;
    }
    ensemble.sort_weights()?;
    Ok(ensemble)
}

impl Lists {
    fn read(node: &Node<'_>, ensemble: &mut Ensemble) -> Result<Self, ParseError> {
        let tensor = |name: &'static str| {
            let missing = || ParseError::Member { member: name, reason: "missing".to_owned() };
            node.tensor(name)?.ok_or_else(missing)
        };
        let modes = node.bytes("nodes_modes")?;
        let lists = Self {
            features: node.integers("nodes_featureids")?,
            modes: modes_of(&modes, node, ensemble)?,
            values: tensor("nodes_splits")?,
            yes: node.integers("nodes_truenodeids")?,
            yes_is_leaf: node.integers("nodes_trueleafs")?,
            no: node.integers("nodes_falsenodeids")?,
            no_is_leaf: node.integers("nodes_falseleafs")?,
            missing_is_true: node.integers("nodes_missing_value_tracks_true")?,
            leaf_outputs: node.integers("leaf_targetids")?,
            leaf_weights: tensor("leaf_weights")?,
        };
        let expected = lists.modes.len();
        let missing = &lists.missing_is_true;
        for (member, len) in [
            ("nodes_featureids", lists.features.len()),
            ("nodes_splits", lists.values.len()),
            ("nodes_truenodeids", lists.yes.len()),
            ("nodes_trueleafs", lists.yes_is_leaf.len()),
            ("nodes_falsenodeids", lists.no.len()),
            ("nodes_falseleafs", lists.no_is_leaf.len()),
            ("nodes_missing_value_tracks_true", if missing.is_empty() { expected } else { missing.len() }),
        ] {
            check_length(member, len, expected)?;
        }
        check_length("leaf_weights", lists.leaf_weights.len(), lists.leaf_outputs.len())?;
        let value = expected.saturating_add(lists.leaf_outputs.len());
        match value > MAX_NODES {
            true => Err(ParseError::TooLarge { what: "nodes", value, limit: MAX_NODES }),
            false => Ok(lists),
        }
    }

    /// Appends the tree at `root`, in the order in which its nodes are first met.
    fn push_tree(
        &self,
        root: i64,
        seen: &mut (Vec<bool>, Vec<bool>),
        ensemble: &mut Ensemble,
    ) -> Result<(), ParseError> {
        let start = ensemble.parts.len();
        let mut met = vec![self.root(root)];
        let mut next = 0;
        while let Some(&at) = met.get(next) {
            self.see(at, seen)?;
            let i = at.number as usize;
            if at.is_leaf {
                let value = self.leaf_weights.get(i).unwrap_or(f64::NAN);
                if !value.is_finite() {
                    let reason = format!("leaf {i} is {value}");
                    return Err(ParseError::Member { member: "leaf_weights", reason });
                }
                let output = output(self.leaf_outputs[i], ensemble.n_outputs)?;
                ensemble.weights.push(Weight { part: ensemble.parts.len(), output, value });
                ensemble.parts.push(Part::Leaf { id: i as u32 });
            } else {
                let yes = met.len() as i64;
                met.push(At { number: self.yes[i], is_leaf: self.yes_is_leaf[i] != 0 });
                met.push(At { number: self.no[i], is_leaf: self.no_is_leaf[i] != 0 });
                ensemble.parts.push(Part::Split(Split {
                    feature: self.features[i],
                    mode: self.modes[i],
                    value: self.values.get(i).unwrap_or(f64::NAN),
                    missing_is_true: self.missing_is_true.get(i) == Some(&1),
                    yes,
                    no: yes + 1,
                }));
            }
            next += 1;
        }
        ensemble.trees.push(start..ensemble.parts.len());
        Ok(())
    }

    /// A tree that is a single leaf is a split whose branches are both that leaf.
    fn root(&self, number: i64) -> At {
        let at = |list: &[i64]| usize::try_from(number).ok().and_then(|i| list.get(i).copied());
        match (at(&self.yes_is_leaf), at(&self.no_is_leaf), at(&self.yes), at(&self.no)) {
            (Some(yes_is_leaf), Some(no_is_leaf), Some(yes), Some(no))
                if yes_is_leaf != 0 && no_is_leaf != 0 && yes == no =>
            {
                At { number: yes, is_leaf: true }
            }
            _ => At { number, is_leaf: false },
        }
    }

    /// Checks that a split or leaf is there, and is met for the first time.
    fn see(&self, at: At, seen: &mut (Vec<bool>, Vec<bool>)) -> Result<(), ParseError> {
        let (what, seen) = if at.is_leaf { ("leaf", &mut seen.1) } else { ("split", &mut seen.0) };
        let member = |reason| ParseError::Member { member: "tree_roots", reason };
        let n = seen.len();
        match usize::try_from(at.number).ok().and_then(|i| seen.get_mut(i)) {
            None => Err(member(format!("{what} {} of {n}", at.number))),
            Some(seen) if *seen => {
                Err(member(format!("{what} {} is reached twice: a cycle, or two parents", at.number)))
            }
            Some(seen) => {
                *seen = true;
                Ok(())
            }
        }
    }
}

/// The splits' modes. Members of sets stand one set after the other, with `NaN` behind each.
fn modes_of(modes: &[i64], node: &Node<'_>, ensemble: &mut Ensemble) -> Result<Vec<Mode>, ParseError> {
    let members = node.tensor("membership_values")?.unwrap_or(Reals::Single(Vec::new()));
    let mut members = members.iter();
    let mut of_splits = Vec::with_capacity(modes.len());
    for &mode in modes {
        of_splits.push(match mode {
            0 => Mode::AtMost,
            1 => Mode::Below,
            2 => Mode::AtLeast,
            3 => Mode::Above,
            4 => Mode::Equal,
            5 => Mode::NotEqual,
            6 => Mode::Member(push_set(&mut members, ensemble)?),
            other => return Err(ParseError::Unsupported(format!("onnx node mode {other}"))),
        });
    }
    match members.next() {
        None => Ok(of_splits),
        Some(_) => {
            let reason = "more sets than splits that take one".to_owned();
            Err(ParseError::Member { member: "membership_values", reason })
        }
    }
}

fn push_set(members: &mut impl Iterator<Item = f64>, ensemble: &mut Ensemble) -> Result<u32, ParseError> {
    let member = |reason| ParseError::Member { member: "membership_values", reason };
    let set = members.take_while(|value| !value.is_nan()).map(category).collect::<Result<Vec<i64>, _>>();
    ensemble.nodes.push_set(set.map_err(member)?.into_iter(), i64::MAX).map_err(member)
}
