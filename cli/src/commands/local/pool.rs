//! Work on all processors, its results taken in the order in which it was given.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

/// Pieces given per worker ahead of what was taken: bounds the memory.
const AHEAD: usize = 4;

/// Gives every piece that `next` yields to one of `workers` threads, and hands what `work` makes of it to
/// `take`, in order. Ends at the first error of `next` or `take`.
pub(crate) fn in_order<T: Send, R: Send>(
    workers: usize,
    mut next: impl FnMut() -> anyhow::Result<Option<T>>,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (give, pieces) = channel::<(usize, T)>();
    let (report, results) = channel::<(usize, R)>();
    let pieces = Mutex::new(pieces);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let report = report.clone();
            let (pieces, work) = (&pieces, &work);
            scope.spawn(move || serve(pieces, &report, work));
        }
        // The workers hold the only senders left: when they end, the results end.
        drop(report);
        // Moved in, so that it is dropped, and the workers end, on every way out.
        let give = give;
        let (mut given, mut taken, mut ended) = (0, 0, false);
        let mut early = BTreeMap::new();
        loop {
            while !ended && given - taken < workers * AHEAD {
                match next()? {
                    Some(piece) => give.send((given, piece)).ok().context("the workers ended too soon")?,
                    None => {
                        ended = true;
                        break;
                    }
                }
                given += 1;
            }
            if taken == given {
                return Ok(());
            }
            let (number, result) = results.recv().context("the workers ended too soon")?;
            early.insert(number, result);
            while let Some(result) = early.remove(&taken) {
                take(result)?;
                taken += 1;
            }
        }
    })
}

fn serve<T, R>(pieces: &Mutex<Receiver<(usize, T)>>, report: &Sender<(usize, R)>, work: impl Fn(T) -> R) {
    loop {
        // The lock is held while waiting: the others wait for it instead of for the channel.
        let piece = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, piece)) = piece else { return };
        if report.send((number, work(piece))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(workers: usize, pieces: u64, fail_at: Option<u64>) -> anyhow::Result<Vec<u64>> {
        let mut next = 0..pieces;
        let mut taken = Vec::new();
        in_order(
            workers,
            || Ok(next.next()),
            |piece| {
                // Later pieces are done sooner.
                std::thread::sleep(std::time::Duration::from_micros(200 * (7 - piece % 7)));
                piece
            },
            |piece| {
                anyhow::ensure!(Some(piece) != fail_at, "failed at {piece}");
                taken.push(piece);
                Ok(())
            },
        )?;
        Ok(taken)
    }

    #[test]
    fn results_come_in_order_whatever_the_workers_do() {
        for workers in [1, 2, 7] {
            for pieces in [0, 1, 100] {
                assert_eq!(run(workers, pieces, None).unwrap(), (0..pieces).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_error_ends_the_workers() {
        assert_eq!(run(3, 1_000, Some(40)).unwrap_err().to_string(), "failed at 40");
        let failing = in_order(2, || anyhow::bail!("unreadable"), |(): ()| (), |()| Ok(()));
        assert_eq!(failing.unwrap_err().to_string(), "unreadable");
    }
}
