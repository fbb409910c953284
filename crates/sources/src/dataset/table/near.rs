//! What a table lists around an address: the rows of the other keys in its network.
//!
//! A network is the block of a prefix's length that holds the address. The key that the address itself has (the
//! narrowest range around it, or it alone) is not among the neighbours, whatever else it holds. A range that reaches
//! into the network is one, unless narrower ranges cover all that it has there.
//!
//! The pieces of a network lie side by side, so that finding them is one bisection; at most [`MAX_SCANNED`] of them
//! are looked at, and at most [`MAX_ROWS`] rows returned: a count of more says [`MAX_ROWS`].

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{MAX_ANSWER_BYTES, Table};
use crate::config::Near;
use crate::source::MAX_ROWS;

/// Most pieces of the address space that are looked at for one address.
const MAX_SCANNED: usize = 8_192;

impl Table {
    /// The rows of the neighbours of an address, with those columns alone that `keeps` lets through; `None` when
    /// no network is said for the family of the address.
    pub(crate) fn near(
        &self,
        address: IpAddr,
        near: Near,
        keeps: impl Fn(&str) -> bool,
    ) -> Option<Vec<Value>> {
        let mut groups = match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                let host = u32::MAX.checked_shr(near.v4?.into()).unwrap_or(0);
                self.v4_groups((bits & !host).into(), (bits | host).into())
            }
            IpAddr::V6(address) => {
                let upper = (address.to_bits() >> 64) as u64;
                let host = u64::MAX.checked_shr(near.v6?.into()).unwrap_or(0);
                self.v6_groups((upper & !host).into(), (upper | host).into())
            }
        };
        groups.sort_unstable();
        groups.dedup();
        let own = self.group_of(address);
        let groups = groups.into_iter().filter(|group| Some(*group) != own);
        let rows = groups.filter_map(|group| self.rows_of(group)).flat_map(|rows| rows.range);
        let columns: Vec<_> =
            self.columns.iter().filter(|column| keeps(column.about().name.as_str())).collect();
        let mut left = MAX_ANSWER_BYTES;
        let row = |row: usize| {
            let mut fields = Map::new();
            for column in &columns {
                left = left.checked_sub(column.text_bytes(&self.bytes, row))?;
                if let Some(value) = column.value(&self.bytes, row) {
                    fields.insert(column.about().name.clone(), value);
                }
            }
            Some(Value::Object(fields))
        };
        Some(rows.take(MAX_ROWS).map_while(row).collect())
    }

    fn v4_groups(&self, first: u128, last: u128) -> Vec<usize> {
        let pieces = self.v4.overlapping(&self.bytes, first, last).take(MAX_SCANNED);
        pieces.filter_map(|(_, value)| (value as usize).checked_sub(1)).collect()
    }

    /// `first` and `last` are upper halves of addresses.
    fn v6_groups(&self, first: u128, last: u128) -> Vec<usize> {
        let divided = self.v6.greatest();
        let pieces = self.v6.overlapping(&self.bytes, first, last).flat_map(|(key, value)| {
            let whole = (value != divided).then_some(value);
            let (first, last) = (key << 64, key << 64 | u128::from(u64::MAX));
            let fine = whole.is_none().then(|| self.v6_fine.overlapping(&self.bytes, first, last));
            whole.into_iter().chain(fine.into_iter().flatten().map(|(_, value)| value))
        });
        pieces.take(MAX_SCANNED).filter_map(|value| (value as usize).checked_sub(1)).collect()
    }
}
