//! Threads on which a member's calls run, so that a caller can give up on a call that hangs.
//!
//! A call can't be taken back. Who gives up leaves the thread to it: the thread is *stuck* until the vendor answers after
//! all, and then cleans up what came too late. No more than a number of them may be stuck at once.

use crate::awake::{self, Busy};
pub(crate) use crate::handover::NoAnswer;
use crate::handover::handover;
use crate::rest;
use crate::shield::hold_off_signals;
use crate::sync::{Condvar, Mutex};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread without work is kept.
const IDLE: Duration = Duration::from_secs(60);
/// A member that usually answers within this is waited for awake: an HSM behind a network isn't.
const ANSWER: Duration = Duration::from_millis(1);
/// How long a thread looks for more work before it sleeps: an application that signs again does so by then.
const MORE: Duration = Duration::from_micros(50);
/// How long an end waits for threads that are not stuck.
const JOIN: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;
type Idle = Vec<Arc<Bench>>;

/// Where a thread without work waits for some.
#[derive(Default)]
struct Bench {
    order: Mutex<Option<Order>>,
    changed: Condvar,
    /// There is one: looked at without a lock.
    given: AtomicBool,
    /// It looks for one awake.
    is_awake: AtomicBool,
    /// The processor on which its thread was last.
    processor: AtomicUsize,
}

/// What a thread is to do next.
enum Order {
    Work(Job),
    End,
}

impl Bench {
    fn give(&self, order: Order) {
        let mut waiting = self.order.lock();
        *waiting = Some(order);
        self.given.store(true, Ordering::Release);
        drop(waiting);
        self.changed.notify_all();
    }

    /// Waits for the next order. None comes to a thread that has left the others in time.
    fn wait(&self, leave: impl Fn() -> bool) -> Order {
        self.is_awake.store(true, Ordering::Relaxed);
        awake::for_work(MORE, || self.given.load(Ordering::Acquire));
        self.is_awake.store(false, Ordering::Relaxed);
        let mut order = self.order.lock();
        loop {
            if let Some(order) = order.take() {
                self.given.store(false, Ordering::Release);
                return order;
            }
            let is_long = self.changed.wait_until(&mut order, Instant::now() + IDLE).timed_out();
            if is_long && order.is_none() {
                drop(order);
                if leave() {
                    return Order::End;
                }
                order = self.order.lock();
            }
        }
    }
}

/// The threads of one member.
pub(crate) struct Workers {
    name: String,
    stuck_max: usize,
    stuck: Arc<AtomicUsize>,
    /// Threads without work, the one that worked last on top. None once ended.
    idle: Arc<Mutex<Option<Idle>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// How long answers take, smoothed, in nanoseconds.
    usual: AtomicU64,
}

impl Workers {
    /// Threads, made when they are needed, that bear the member's name.
    pub(crate) fn new(name: &str, stuck_max: usize) -> Self {
        Self {
            name: name.to_owned(),
            stuck_max,
            stuck: Arc::default(),
            idle: Arc::new(Mutex::new(Some(Vec::new()))),
            threads: Mutex::default(),
            usual: AtomicU64::new(0),
        }
    }

    /// How many calls hang.
    pub(crate) fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Acquire)
    }

    /// Runs a call and waits so long for its answer. One that comes later is given to `late`, on the thread that ran it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce() -> T + Send + 'static,
        late: impl FnOnce(T) + Send + 'static,
    ) -> Result<T, NoAnswer> {
        if self.stuck() >= self.stuck_max {
            return Err(NoAnswer::Full);
        }
        let (waiting, answering) = handover(&self.stuck);
        let busy = Busy::new();
        self.give(Box::new(move || {
            let value = catch_unwind(AssertUnwindSafe(call));
            drop(busy);
            answering.answer(value, late);
        }))
        .map_err(|_| NoAnswer::NoThread)?;
        let begun = Instant::now();
        let usual = Duration::from_nanos(self.usual.load(Ordering::Relaxed));
        if usual <= ANSWER {
            awake::for_answer((2 * usual + MORE).min(patience), || waiting.is_settled());
        }
        let answer = waiting.wait(patience);
        self.took(begun.elapsed());
        answer
    }

    /// Notes how long an answer took. That two threads note at once and one is forgotten does no harm.
    fn took(&self, time: Duration) {
        let usual = self.usual.load(Ordering::Relaxed);
        let usual = (usual - usual / 8).saturating_add(nanos(time) / 8);
        self.usual.store(usual, Ordering::Relaxed);
    }

    /// Gives a job to a thread that waits, or to a new one.
    fn give(&self, job: Job) -> io::Result<()> {
        let waiting = match &mut *self.idle.lock() {
            Some(idle) => take_quickest(idle),
            None => return Err(io::Error::other("the threads have ended")),
        };
        if let Some(bench) = waiting {
            bench.give(Order::Work(job));
            return Ok(());
        }
        let idle = Arc::clone(&self.idle);
        let thread = std::thread::Builder::new()
            .name(format!("tandem-{}", self.name))
            .spawn(move || work(job, &idle))?;
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Ends the threads, and waits for those that are not stuck. No call may be given afterwards.
    pub(crate) fn end(&self) {
        let waiting = self.idle.lock().take().unwrap_or_default();
        for bench in waiting {
            bench.give(Order::End);
        }
        let mut threads = std::mem::take(&mut *self.threads.lock());
        let until = Instant::now() + JOIN;
        while !threads.is_empty() && Instant::now() < until {
            let (ended, going): (Vec<_>, _) =
                threads.into_iter().partition(JoinHandle::is_finished);
            for thread in ended {
                // What a job does when it panics is caught in the job.
                drop(thread.join());
            }
            threads = going;
            if threads.len() <= self.stuck() {
                return;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The thread that goes on soonest: one that is awake, or one that was on the processor of whoever calls, which sleeps in a
/// moment; on another it may find work going on, and wait for its end while this one is idle.
fn take_quickest(idle: &mut Idle) -> Option<Arc<Bench>> {
    let here = processor();
    let is_awake = |bench: &Arc<Bench>| bench.is_awake.load(Ordering::Relaxed);
    let is_here = |bench: &Arc<Bench>| bench.processor.load(Ordering::Relaxed) == here;
    match idle.iter().rposition(is_awake).or_else(|| idle.iter().rposition(is_here)) {
        Some(at) => Some(idle.remove(at)),
        None => idle.pop(),
    }
}

/// The processor on which this thread runs.
fn processor() -> usize {
    nix::sched::sched_getcpu().unwrap_or(0)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The life of a thread: its first job, then whatever it is given while it waits among the others.
fn work(first: Job, idle: &Mutex<Option<Idle>>) {
    // The host's signals are its own threads' to handle; above all a module whose peer has gone must not end the process
    // by SIGPIPE.
    hold_off_signals();
    rest::works_for_others();
    first();
    let bench = Arc::<Bench>::default();
    // True if it was still waiting: nobody gives it anything from now on.
    let leave = || {
        let mut idle = idle.lock();
        let Some(idle) = &mut *idle else { return false };
        let before = idle.len();
        idle.retain(|other| !Arc::ptr_eq(other, &bench));
        idle.len() < before
    };
    loop {
        bench.processor.store(processor(), Ordering::Relaxed);
        match &mut *idle.lock() {
            Some(idle) => idle.push(Arc::clone(&bench)),
            None => return,
        }
        match bench.wait(leave) {
            Order::Work(job) => job(),
            Order::End => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal};
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn answers_come_back() {
        let workers = Workers::new("a", 1);
        for number in 0..100 {
            assert_eq!(workers.run(LONG, move || number, |_| ()), Ok(number));
        }
        workers.end();
        assert_eq!(workers.run(LONG, || 0, |_| ()), Err(NoAnswer::NoThread));
    }

    #[test]
    fn a_call_that_hangs_is_left_behind_and_cleaned_up_after() {
        let workers = Workers::new("a", 1);
        let (go, wait) = mpsc::channel::<()>();
        let (done, cleaned) = mpsc::channel();
        let hang = move || wait.recv().is_ok();
        assert_eq!(workers.run(SHORT, hang, move |_| done.send(()).unwrap()), Err(NoAnswer::Late));
        assert_eq!(workers.stuck(), 1);
        assert_eq!(workers.run(LONG, || (), |()| ()), Err(NoAnswer::Full), "no other is risked");
        go.send(()).unwrap();
        cleaned.recv_timeout(LONG).unwrap();
        while workers.stuck() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(workers.run(LONG, || (), |()| ()), Ok(()));
        workers.end();
    }

    #[test]
    fn a_call_that_panics_is_no_answer() {
        let workers = Workers::new("a", 1);
        let answer = workers.run(LONG, || -> u8 { panic!("as a test") }, |_| ());
        assert_eq!(answer, Err(NoAnswer::Broken));
        assert_eq!(workers.run(LONG, || 1, |_| ()), Ok(1));
        workers.end();
    }

    #[test]
    fn an_end_waits_for_threads_but_not_for_stuck_ones() {
        let workers = Workers::new("a", 2);
        let (_go, wait) = mpsc::channel::<()>();
        assert_eq!(workers.run(SHORT, move || wait.recv().is_ok(), |_| ()), Err(NoAnswer::Late));
        assert_eq!(workers.run(LONG, || (), |()| ()), Ok(()));
        workers.end();
        assert_eq!(workers.threads.lock().len(), 0);
    }

    #[test]
    fn threads_block_signals() {
        let workers = Workers::new("a", 1);
        let mask = || SigSet::thread_get_mask().unwrap();
        let blocked = workers.run(LONG, mask, |_| ()).unwrap();
        assert!(blocked.contains(Signal::SIGPIPE) && blocked.contains(Signal::SIGTERM));
        assert!(!blocked.contains(Signal::SIGSEGV), "a crash is told to whoever asked for it");
        workers.end();
    }
}
