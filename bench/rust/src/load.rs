//! The callers that share a client, and what their calls cost. load.go does the same for clients written in Go.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::protocol::Reply;
use crate::Result;

/// Sends requests that are all alike.
pub trait Client: Send + Sync + 'static {
    /// Sends one request, reads its response to the end, and returns what the response was.
    fn call(&self) -> impl Future<Output = Result<Answer>> + Send;
}

pub struct Answer {
    pub status: u16,
    pub version: http::Version,
}

/// The calls that a caller has ended, on a cache line of their own.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicU64);

pub struct Crowd<C> {
    client: Arc<C>,
    counts: Arc<[Count]>,
}

/// How long a measurement waits for calls to end, in windows.
const MAX_WINDOWS: usize = 50;

impl<C: Client> Crowd<C> {
    pub fn new(client: C, callers: usize) -> Crowd<C> {
        Crowd { client: Arc::new(client), counts: (0..callers).map(|_| Count::default()).collect() }
    }

    fn total(&self) -> u64 {
        self.counts.iter().map(|c| c.0.load(Ordering::Relaxed)).sum()
    }

    /// Waits for a window, and for more of them until as many calls have ended as there are callers.
    async fn busy(&self, window: Duration) {
        let from = self.total();
        for _ in 0..MAX_WINDOWS {
            tokio::time::sleep(window).await;
            if self.total() - from >= self.counts.len() as u64 {
                return;
            }
        }
    }

    /// Lets all callers call as fast as they can, and returns what a call cost within the window. A quarter of a
    /// window goes before, in which connections open and everything gets warm.
    pub async fn measure(&mut self, window: Duration) -> Result<Reply> {
        let first = self.client.call().await?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for i in 0..self.counts.len() {
            callers.spawn(caller(self.client.clone(), self.counts.clone(), i, stop.clone()));
        }
        self.busy(window / 4).await;
        let (from, before) = (self.total(), Usage::now()?);
        self.busy(window).await;
        let (after, calls) = (Usage::now()?, self.total() - from);
        stop.store(true, Ordering::Relaxed);
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        if calls == 0 {
            return Err("no call has ended within the time of a measurement".into());
        }
        Ok(after.since(&before).reply(calls as f64, first.version))
    }
}

async fn caller<C: Client>(client: Arc<C>, counts: Arc<[Count]>, number: usize, stop: Arc<AtomicBool>) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let answer = client.call().await?;
        if answer.status != 200 {
            return Err(format!("status {}", answer.status).into());
        }
        counts[number].0.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// What this process has used up to a moment.
struct Usage {
    at: Instant,
    user: Duration,
    sys: Duration,
}

impl Usage {
    fn now() -> Result<Usage> {
        // SAFETY: a rusage is numbers alone, for which zero is a value, and getrusage writes nothing else.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut used) } != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        let time = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
        Ok(Usage { at: Instant::now(), user: time(used.ru_utime), sys: time(used.ru_stime) })
    }

    fn since(&self, before: &Usage) -> Cost {
        Cost { wall: self.at - before.at, user: self.user - before.user, sys: self.sys - before.sys }
    }
}

/// What was used between two moments.
struct Cost {
    wall: Duration,
    user: Duration,
    sys: Duration,
}

impl Cost {
    fn reply(&self, calls: f64, version: http::Version) -> Reply {
        let micros = |d: Duration| d.as_secs_f64() * 1e6 / calls;
        let values = [
            ("rate", calls / self.wall.as_secs_f64()),
            ("user", micros(self.user)),
            ("sys", micros(self.sys)),
            ("cpu", micros(self.user + self.sys)),
        ];
        Reply { values: values.into(), protocol: format!("{version:?}"), ..Reply::default() }
    }
}
