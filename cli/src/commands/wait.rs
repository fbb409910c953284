//! Waiting for entities to be scored, politely: a few queries at a time, ever more seldom.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tribunal_core::Score;

use crate::aws::scores::Scores;
use crate::exit::Failure;
use crate::output::counted;

/// Queries under way at once.
const CONCURRENCY: usize = 8;
/// Most entities asked for in one round: when these are not scored, others hardly are.
const ROUND: usize = 200;
/// Scores of an entity that are looked through: a later request may stand before the one waited for.
const LOOKED_THROUGH: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which score of an entity is the one waited for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// One that was asked for at this time or later (RFC 3339).
    pub(crate) since: String,
    /// Or one that belongs to one of these requests.
    pub(crate) ids: HashSet<String>,
}

impl Wanted {
    fn accepts(&self, score: &Score) -> bool {
        score.requested_at >= self.since
            || score.scored_key.split_once('#').is_some_and(|(_, id)| self.ids.contains(id))
    }
}

/// What became of the waiting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waited {
    /// Scores, riskiest first.
    pub(crate) scores: Vec<Score>,
    /// Entities without one.
    pub(crate) pending: Vec<String>,
}

/// Waits until every entity has the score that is wanted, or the time is up.
pub(crate) async fn wait(
    scores: &Scores,
    entities: Vec<String>,
    wanted: &Wanted,
    timeout: Duration,
    mut on_score: impl FnMut(&Score) -> anyhow::Result<()>,
) -> anyhow::Result<Waited> {
    let started = Instant::now();
    let mut pending = VecDeque::from(entities);
    let mut found = Vec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let round: Vec<String> = pending.drain(..pending.len().min(ROUND)).collect();
        let answers: Vec<(String, Option<Score>)> = stream::iter(round)
            .map(|entity| look(scores, entity, wanted))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let before = found.len();
        for (entity, score) in answers {
            match score {
                Some(score) => {
                    on_score(&score)?;
                    found.push(score);
                }
                None => pending.push_back(entity),
            }
        }
        if pending.is_empty() || started.elapsed() >= timeout {
            break;
        }
        pause = if found.len() > before { FIRST_PAUSE } else { (pause * 3 / 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause.min(timeout.saturating_sub(started.elapsed()))).await;
    }
    found.sort_by(crate::show::scores::riskiest_first);
    Ok(Waited { scores: found, pending: pending.into() })
}

async fn look(scores: &Scores, entity: String, wanted: &Wanted) -> anyhow::Result<(String, Option<Score>)> {
    let history = scores.history(&entity, LOOKED_THROUGH).await?;
    Ok((entity, history.into_iter().find(|score| wanted.accepts(score))))
}

/// The error when the time is up.
pub(crate) fn timed_out(pending: &[String], timeout: Duration) -> anyhow::Error {
    let some = pending.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if pending.len() > 5 { ", ..." } else { "" };
    let what = counted(pending.len(), "entity has", "entities have");
    Failure::failed(format!("{what} no score after {} s: {some}{more}", timeout.as_secs()))
        .hint("`tribunal status` shows the queues, `tribunal dlq` what failed and why")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::scores::tests::example;

    #[test]
    fn an_older_score_is_not_the_one_waited_for_unless_it_is_of_this_request() {
        let score = example("a.com", tribunal_core::Verdict::Benign, Some(1.0));
        let mut wanted = Wanted { since: "2026-11-24T07:49:58.124Z".to_owned(), ids: HashSet::new() };
        assert!(!wanted.accepts(&score));
        wanted.ids.insert("r-1".to_owned());
        assert!(wanted.accepts(&score));
        let wanted = Wanted { since: "2026-11-24T07:49:58.123Z".to_owned(), ids: HashSet::new() };
        assert!(wanted.accepts(&score));
    }

    #[test]
    fn the_error_names_a_few_of_those_that_are_missing() {
        let pending: Vec<String> = (0..7).map(|i| format!("e{i}.com")).collect();
        assert_eq!(
            timed_out(&pending, Duration::from_secs(60)).to_string(),
            "7 entities have no score after 60 s: e0.com, e1.com, e2.com, e3.com, e4.com, ..."
        );
    }
}
