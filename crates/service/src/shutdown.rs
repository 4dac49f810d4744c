//! Ending: told once, followed by everybody, waited for with a limit.

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tells tasks to end and waits for them. Cheap to clone.
///
/// Every long-lived task is spawned through it, so that none is forgotten.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Starts a task that [`Shutdown::wait`] waits for; it should watch [`Shutdown::told`].
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Tells everybody to end.
    pub fn tell(&self) {
        self.token.cancel();
    }

    /// Completes when everybody was told to end.
    pub fn told(&self) -> impl Future<Output = ()> + Send + 'static {
        self.token.clone().cancelled_owned()
    }

    /// Whether everybody was told to end.
    pub fn is_told(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until all tasks ended, at most `limit`. False: some had to be left behind.
    pub async fn wait(&self, limit: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}
