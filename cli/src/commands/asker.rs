//! Sources for commands that work on threads of their own: asked on a runtime that lives beside them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tribunal_registry::Registry;
use tribunal_runtime::{chain, now_ms};
use tribunal_sources::dataset::{DatasetHolder, Refreshed};
use tribunal_sources::{Answers, Asked, Sources};

use super::sources;
use crate::output::{escape, shown};
use crate::show;

/// Time for loading the data sets that a file names.
const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// No limit beside the declared budget.
const NO_LIMIT: Duration = Duration::from_secs(3_600);

/// The sources of a file.
pub(crate) struct Asker {
    sources: Sources,
    /// Gone only while it is dropped.
    runtime: Option<Runtime>,
}

impl Asker {
    /// Opens the sources of a file; data sets that it names are looked for in `registry`.
    pub(crate) fn open(
        file: &Path,
        registry: Option<Registry>,
        ranges: Option<Arc<DatasetHolder>>,
    ) -> anyhow::Result<Self> {
        let declaration = sources::read(file)?;
        let context = sources::context_of(file, registry, ranges);
        let sources = sources::open(&shown(file), &declaration, &context)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")?;
        let asker = Self { sources, runtime: Some(runtime) };
        asker.load();
        Ok(asker)
    }

    fn load(&self) {
        let loaded = self.block_on(self.sources.refresh(LOAD_LIMIT)).unwrap_or_default();
        for (name, refreshed) in loaded {
            let problem = match refreshed {
                Refreshed::Failed(error) => chain(&error),
                Refreshed::Absent => "it is not published".to_owned(),
                Refreshed::Loading => format!("not loaded within {} s", LOAD_LIMIT.as_secs()),
                Refreshed::NotDue | Refreshed::Unchanged | Refreshed::Changed(_) => continue,
            };
            show::note(&format!("warning: data set {}: {}", escape(&name), escape(&problem)));
        }
    }

    /// What is asked.
    pub(crate) const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Asks about a batch, and waits.
    pub(crate) fn ask(&self, batch: &[Asked<'_>]) -> Answers {
        self.block_on(self.sources.ask(batch, now_ms(), NO_LIMIT)).unwrap_or_default()
    }

    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> Option<T> {
        let runtime = self.runtime.as_ref()?;
        // On a thread that is no runtime's: commands themselves may run on one.
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join().ok())
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // Waits for nothing, and so may happen on a runtime's thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
