//! Group commit: calls that come at the same time share one.
//!
//! SQLite syncs the disk at every commit, a few milliseconds each, one after the other. Calls that wait for
//! the commit before them are therefore done together in the next: as many as came, one sync.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

type Waiting<J, A> = (J, oneshot::Sender<A>);

/// Does jobs in groups, in the order in which they came. Cheap to clone; ends with its last clone.
#[derive(Debug)]
pub struct Group<J, A> {
    queue: mpsc::Sender<Waiting<J, A>>,
}

impl<J, A> Clone for Group<J, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<J: Send + 'static, A: Send + 'static> Group<J, A> {
    /// Groups of up to `jobs_max`; as many again may wait, then callers do. `work` answers each job, in order.
    /// Must be called within a Tokio runtime.
    pub fn new<F>(jobs_max: usize, work: impl Fn(Vec<J>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Vec<A>> + Send,
    {
        let (queue, mut waiting) = mpsc::channel::<Waiting<J, A>>(jobs_max);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(jobs_max);
            while waiting.recv_many(&mut group, jobs_max).await > 0 {
                let (jobs, answers): (Vec<J>, Vec<oneshot::Sender<A>>) = group.drain(..).unzip();
                for (answer, done) in answers.into_iter().zip(work(jobs).await) {
                    // Whoever stopped waiting is not told.
                    let _ = answer.send(done);
                }
            }
        });
        Self { queue }
    }

    /// Does a job; it is done even if the caller stops waiting. `None`: the process is ending.
    pub async fn run(&self, job: J) -> Option<A> {
        let (answer, done) = oneshot::channel();
        self.queue.send((job, answer)).await.ok()?;
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_done_together_and_everybody_gets_their_own_answer() {
        let group = Group::new(8, |jobs: Vec<u32>| async move {
            let together = jobs.len();
            jobs.into_iter().map(|job| (job * 2, together)).collect()
        });
        let answers = futures_util::future::join_all((0..8).map(|job| group.run(job))).await;
        let doubled: Vec<u32> = answers.iter().flatten().map(|(double, _)| *double).collect();
        assert_eq!(doubled, [0, 2, 4, 6, 8, 10, 12, 14]);
        assert!(answers.iter().flatten().any(|(_, together)| *together > 1), "{answers:?}");
    }
}
