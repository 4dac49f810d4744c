//! Group commit: calls that come at the same time share one.
//!
//! SQLite syncs the disk at every commit, a few milliseconds each, one after the other. Calls that wait for
//! the commit before them are therefore done together in the next: as many as came, one sync. Where commits can run
//! side by side, lanes do.

use std::{
    future::Future,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

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

/// What keeps jobs in a database, any number in one transaction.
pub trait Keeper: Clone + Send + Sync + 'static {
    /// What is to be kept.
    type Job: Send + Sync + 'static;
    /// What became of it.
    type Answer: Send + 'static;
    /// Why it was not.
    type Error: From<sqlx::Error> + Send + 'static;

    /// Keeps jobs in one transaction, and answers each, in their order. An error: nothing was kept.
    fn keep_all(&self, jobs: &[Self::Job])
    -> impl Future<Output = Result<Answers<Self>, Self::Error>> + Send;
}

/// What became of each of some jobs.
pub type Answers<K> = Vec<Result<<K as Keeper>::Answer, <K as Keeper>::Error>>;

/// Keeps one job.
pub async fn keep<K: Keeper>(keeper: &K, job: &K::Job) -> Result<K::Answer, K::Error> {
    let mut answers = keeper.keep_all(std::slice::from_ref(job)).await?;
    answers.pop().unwrap_or_else(|| Err(sqlx::Error::RowNotFound.into()))
}

/// Keeps jobs in one transaction. If that fails, each in its own, so that one that can't be kept costs no other.
pub async fn keep_together<K: Keeper>(keeper: K, jobs: Vec<K::Job>) -> Answers<K> {
    match keeper.keep_all(&jobs).await {
        Ok(answers) => answers,
        Err(why) if jobs.len() == 1 => vec![Err(why)],
        Err(_) => {
            let mut answers = Vec::with_capacity(jobs.len());
            for job in &jobs {
                answers.push(keep(&keeper, job).await);
            }
            answers
        }
    }
}

/// Groups side by side. Jobs of one key go to the same of them, so they are done in the order in which they came. Cheap
/// to clone.
#[derive(Debug)]
pub struct Lanes<J, A> {
    groups: Arc<[Group<J, A>]>,
    hasher: RandomState,
}

impl<J, A> Clone for Lanes<J, A> {
    fn clone(&self) -> Self {
        Self { groups: Arc::clone(&self.groups), hasher: self.hasher.clone() }
    }
}

impl<J, A> Default for Lanes<J, A> {
    /// No lanes: no job is done.
    fn default() -> Self {
        Self { groups: Arc::default(), hasher: RandomState::new() }
    }
}

impl<J: Send + 'static, A: Send + 'static> Lanes<J, A> {
    /// So many lanes, each as [`Group::new`] says.
    pub fn new<F>(count: usize, jobs_max: usize, work: impl Fn(Vec<J>) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Vec<A>> + Send,
    {
        let groups = (0..count).map(|_| Group::new(jobs_max, work.clone())).collect();
        Self { groups, ..Self::default() }
    }

    /// Does a job in the lane of a key, as [`Group::run`] says.
    pub async fn run(&self, key: &impl Hash, job: J) -> Option<A> {
        let lane = self.hasher.hash_one(key) as usize % self.groups.len().max(1);
        self.groups.get(lane)?.run(job).await
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

    #[tokio::test]
    async fn jobs_of_one_key_stay_in_one_lane_and_in_order() {
        let lanes = Lanes::new(4, 8, |jobs: Vec<u32>| async move {
            let lane = tokio::task::id();
            jobs.into_iter().map(|job| (lane, job)).collect()
        });
        for key in ["a", "b", "c"] {
            let answers = futures_util::future::join_all((0..6).map(|job| lanes.run(&key, job))).await;
            let (places, done): (Vec<_>, Vec<u32>) = answers.into_iter().flatten().unzip();
            assert_eq!(done, [0, 1, 2, 3, 4, 5]);
            assert!(places.windows(2).all(|two| matches!(two, [one, other] if one == other)), "{places:?}");
        }
        assert_eq!(Lanes::<u32, u32>::default().run(&"a", 1).await, None);
    }
}
