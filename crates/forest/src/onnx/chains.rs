//! Sets of categories as converters write them where the operator has none: a chain of `BRANCH_EQ` on one
//! feature, each of whose true branches is the same node (LightGBM's converter). Such a chain becomes one
//! split on a set; what is left of it is not reached any more.

use std::ops::Range;

use super::ensemble::{Ensemble, MAX_CATEGORY, Mode, Part, Split, category};
use crate::error::{ParseError, TreeFault};

impl Ensemble {
    /// Makes a split on a set of every chain.
    pub(super) fn merge_chains(&mut self) -> Result<(), ParseError> {
        for tree in 0..self.trees.len() {
            let range = self.trees[tree].clone();
            if range.clone().all(|position| self.equality(position).is_none()) {
                continue;
            }
            let continues = self.continues(range.clone());
            for head in 0..range.len() {
                if continues[head] || self.equality(range.start + head).is_none() {
                    continue;
                }
                let at = |fault| ParseError::Tree { tree, node: head, fault };
                self.merge(range.clone(), head, &continues).map_err(at)?;
            }
        }
        Ok(())
    }

    fn equality(&self, position: usize) -> Option<Split> {
        match self.parts.get(position) {
            Some(Part::Split(split)) if split.mode == Mode::Equal => Some(*split),
            _ => None,
        }
    }

    /// Which nodes of a tree go on with the chain of their only parent.
    fn continues(&self, range: Range<usize>) -> Vec<bool> {
        let mut parents = vec![0_u32; range.len()];
        let mut continues = vec![false; range.len()];
        for position in range.clone() {
            let Some(Part::Split(split)) = self.parts.get(position) else { continue };
            for child in [split.yes, split.no] {
                if let Some(count) = usize::try_from(child).ok().and_then(|child| parents.get_mut(child)) {
                    *count += 1;
                }
            }
            let Some(next) = usize::try_from(split.no).ok().filter(|&next| next < range.len()) else {
                continue;
            };
            let same = |other: Split| other.feature == split.feature && other.yes == split.yes;
            continues[next] |=
                split.mode == Mode::Equal && self.equality(range.start + next).is_some_and(same);
        }
        // The root is not anyone's child, or there is a cycle.
        let is_child = |node: usize| node > 0 && parents[node] == 1;
        (0..range.len()).map(|node| continues[node] && is_child(node)).collect()
    }

    /// Merges the chain that starts at `head`, if it is longer than one. It ends: every node of it has one
    /// parent.
    fn merge(&mut self, range: Range<usize>, head: usize, continues: &[bool]) -> Result<(), TreeFault> {
        let Some(mut merged) = self.equality(range.start + head) else { return Ok(()) };
        let mut categories = vec![category(merged.value).map_err(TreeFault::Categories)?];
        let follows = |no: i64| usize::try_from(no).ok().filter(|&no| continues.get(no) == Some(&true));
        while let Some(next) = follows(merged.no) {
            let Some(split) = self.equality(range.start + next) else { break };
            categories.push(category(split.value).map_err(TreeFault::Categories)?);
            merged.no = split.no;
            merged.missing_is_true |= split.missing_is_true;
            self.parts[range.start + next] = Part::Merged;
        }
        if categories.len() > 1 {
            let set = self.nodes.push_set(categories.into_iter(), MAX_CATEGORY);
            merged.mode = Mode::Member(set.map_err(TreeFault::Categories)?);
            self.parts[range.start + head] = Part::Split(merged);
        }
        Ok(())
    }
}
