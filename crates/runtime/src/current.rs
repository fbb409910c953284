//! What a function loads before its first event, and follows while others come: a model, a definition.
//!
//! As [`Held`], and at most every so often a look whether another version is in force. A look is a task beside the
//! events: none waits for it, and every event keeps the version that it got, to its end. A process stands still between
//! events, so a look may span several of them; there is one at a time. What a look finds replaces the value
//! at once; a look that finds nothing new, or nothing that can be used, leaves it as it is.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::held::Held;

/// A value, and the ETag of the pointer that led to it.
pub type Found<T> = (T, Option<String>);

/// A value that is followed, or why there is none yet.
#[derive(Debug)]
pub struct Current<T, E> {
    held: Held<T, E>,
    look_after: Duration,
    looks: Mutex<Looks>,
}

#[derive(Debug)]
struct Looks {
    etag: Option<String>,
    at: Instant,
    under_way: Option<JoinHandle<()>>,
}

impl<T, E> Current<T, E> {
    /// Holds what loading came to; a failed one is tried again at most every `retry_after`, and the first look is
    /// `look_after` from now.
    pub fn new(loaded: Result<Found<T>, E>, retry_after: Duration, look_after: Duration) -> Self {
        let (loaded, etag) = match loaded {
            Ok((value, etag)) => (Ok(value), etag),
            Err(error) => (Err(error), None),
        };
        let looks = Mutex::new(Looks { etag, at: Instant::now(), under_way: None });
        Self { held: Held::new(loaded, retry_after), look_after, looks }
    }

    /// The value; `load` is called if there is none and the last attempt is long enough ago. It bounds its time.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn get(&self, load: impl AsyncFnOnce() -> Result<Found<T>, E>) -> Result<Arc<T>, Arc<E>> {
        let load = async || {
            let (value, etag) = load().await?;
            self.looks().etag = etag;
            Ok(value)
        };
        self.held.get(load).await
    }

    /// The value as it is now: nothing is loaded.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn now(&self) -> Result<Arc<T>, Arc<E>> {
        self.held.now().await
    }

    /// Waits until the look that is under way, if there is one, has ended.
    pub async fn settled(&self) {
        let under_way = self.looks().under_way.take();
        if let Some(task) = under_way {
            // One that was cancelled has ended, too.
            let _ = task.await;
        }
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Current<T, E> {
    /// Starts a look beside the event if it is time for one, and says whether it did. `look` is given the ETag of the
    /// pointer that led to the value, and answers with another value, or nothing; it logs what it came to, and
    /// bounds its time.
    pub fn look<F>(self: &Arc<Self>, look: impl FnOnce(Option<String>) -> F) -> bool
    where
        F: Future<Output = Option<Found<T>>> + Send + 'static,
    {
        let mut looks = self.looks();
        let busy = looks.under_way.as_ref().is_some_and(|task| !task.is_finished());
        if busy || looks.at.elapsed() < self.look_after {
            return false;
        }
        looks.at = Instant::now();
        let (this, found) = (Arc::clone(self), look(looks.etag.clone()));
        looks.under_way = Some(tokio::spawn(async move {
            if let Some((value, etag)) = found.await {
                this.held.replace(value).await;
                this.looks().etag = etag;
            }
        }));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY_AFTER: Duration = Duration::from_secs(5);
    const LOOK_AFTER: Duration = Duration::from_secs(60);

    fn current(loaded: Result<Found<u32>, &'static str>) -> Arc<Current<u32, &'static str>> {
        Arc::new(Current::new(loaded, RETRY_AFTER, LOOK_AFTER))
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_replaces_the_value_and_is_told_the_last_etag() {
        let current = current(Ok((1, Some("a".to_owned()))));
        assert!(!current.look(async |_| panic!("too soon")));
        tokio::time::advance(LOOK_AFTER).await;
        let held = current.now().await.unwrap();
        assert!(current.look(async |etag| {
            assert_eq!(etag.as_deref(), Some("a"));
            Some((2, Some("b".to_owned())))
        }));
        current.settled().await;
        assert_eq!((*held, *current.now().await.unwrap()), (1, 2), "who has the old one keeps it");
        for found in [None, Some((3, None))] {
            tokio::time::advance(LOOK_AFTER).await;
            let expected = found.as_ref().map_or(2, |(value, _): &Found<u32>| *value);
            assert!(current.look(async |etag| {
                assert_eq!(etag.as_deref(), Some("b"));
                found
            }));
            current.settled().await;
            assert_eq!(*current.now().await.unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_look_at_a_time_and_nobody_waits_for_it() {
        let current = current(Ok((1, None)));
        tokio::time::advance(LOOK_AFTER).await;
        let (send, receive) = tokio::sync::oneshot::channel::<u32>();
        assert!(current.look(async |_| Some((receive.await.unwrap(), None))));
        tokio::time::advance(LOOK_AFTER).await;
        assert!(!current.look(async |_| panic!("one is under way")));
        assert_eq!(*current.now().await.unwrap(), 1);
        send.send(7).unwrap();
        current.settled().await;
        assert_eq!(*current.now().await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_loaded_late_is_followed_from_its_own_etag() {
        let current = current(Err("none"));
        assert_eq!(*current.now().await.unwrap_err(), "none");
        tokio::time::advance(LOOK_AFTER).await;
        assert_eq!(*current.get(async || Ok((4, Some("d".to_owned())))).await.unwrap(), 4);
        assert!(current.look(async |etag| {
            assert_eq!(etag.as_deref(), Some("d"));
            None
        }));
        current.settled().await;
        assert_eq!(*current.now().await.unwrap(), 4);
    }
}
