//! What a function loads before its first event and keeps: a model, a definition.
//!
//! Loading may fail without ending the process: every event is answered with the reason, and loading is tried again
//! by the first event after a while, so that a corrected object is picked up without a deployment. What was loaded
//! stays until it is replaced.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value, or why there is none yet.
#[derive(Debug)]
pub struct Held<T, E> {
    retry_after: Duration,
    state: Mutex<State<T, E>>,
}

#[derive(Debug)]
enum State<T, E> {
    Ready(Arc<T>),
    /// The time is taken after the attempt: a slow one is not followed by the next at once.
    Failed {
        error: Arc<E>,
        at: Instant,
    },
}

impl<T, E> Held<T, E> {
    /// Holds what loading came to; a failed one is tried again at most every `retry_after`.
    pub fn new(loaded: Result<T, E>, retry_after: Duration) -> Self {
        Self { retry_after, state: Mutex::new(State::of(loaded)) }
    }

    /// The value; `load` is called if there is none and the last attempt is long enough ago. It bounds its time.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn get(&self, load: impl AsyncFnOnce() -> Result<T, E>) -> Result<Arc<T>, Arc<E>> {
        let mut state = self.state.lock().await;
        if let State::Failed { at, .. } = &*state
            && at.elapsed() >= self.retry_after
        {
            *state = State::of(load().await);
        }
        state.get()
    }

    /// Holds another value from now on; who has the one before keeps it.
    pub async fn replace(&self, value: T) {
        *self.state.lock().await = State::Ready(Arc::new(value));
    }

    /// The value as it is now: nothing is loaded.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn now(&self) -> Result<Arc<T>, Arc<E>> {
        self.state.lock().await.get()
    }
}

impl<T, E> State<T, E> {
    fn of(loaded: Result<T, E>) -> Self {
        match loaded {
            Ok(value) => Self::Ready(Arc::new(value)),
            Err(error) => Self::Failed { error: Arc::new(error), at: Instant::now() },
        }
    }

    fn get(&self) -> Result<Arc<T>, Arc<E>> {
        match self {
            Self::Ready(value) => Ok(Arc::clone(value)),
            Self::Failed { error, .. } => Err(Arc::clone(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY_AFTER: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_after_a_while_and_a_value_stays() {
        let held: Held<u32, &str> = Held::new(Err("first"), RETRY_AFTER);
        assert_eq!(held.get(async || panic!("too soon")).await.unwrap_err().as_ref(), &"first");
        tokio::time::advance(RETRY_AFTER).await;
        let slow = async || {
            tokio::time::sleep(RETRY_AFTER).await;
            Err("second")
        };
        assert_eq!(held.get(slow).await.unwrap_err().as_ref(), &"second");
        assert_eq!(
            held.get(async || panic!("a slow failure counts from its end")).await.unwrap_err().as_ref(),
            &"second"
        );
        tokio::time::advance(RETRY_AFTER).await;
        assert_eq!(*held.get(async || Ok(7)).await.unwrap(), 7);
        tokio::time::advance(RETRY_AFTER).await;
        assert_eq!(*held.get(async || panic!("there is a value")).await.unwrap(), 7);
        assert_eq!(*held.now().await.unwrap(), 7);
    }
}
