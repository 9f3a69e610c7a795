//! Runs several things that wait, on one thread.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// How often whoever watches is asked.
const TICK: Duration = Duration::from_millis(100);

/// Something that waits.
pub type Job<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + 'a>>;

/// Runs `jobs`, at most `limit` at the same time, begun in their order, and returns their results
/// in that order. The first failure ends all. `tick` is called ten times a second; when it returns
/// false everything ends, without a result.
pub async fn together<T, E>(
    jobs: Vec<Job<'_, T, E>>,
    limit: usize,
    tick: &mut dyn FnMut() -> bool,
) -> Result<Option<Vec<T>>, E> {
    let mut results: Vec<Option<T>> = jobs.iter().map(|_| None).collect();
    let mut waiting: VecDeque<_> = jobs.into_iter().enumerate().collect();
    let mut running = Vec::new();
    let mut timer = Box::pin(sleep(TICK));
    let go_on = poll_fn(|context| {
        while timer.as_mut().poll(context).is_ready() {
            if !tick() {
                return Poll::Ready(Ok(false));
            }
            timer.as_mut().reset(Instant::now() + TICK);
        }
        loop {
            let room = limit
                .max(1)
                .saturating_sub(running.len())
                .min(waiting.len());
            running.extend(waiting.drain(..room));
            let mut at = 0;
            let mut ended = false;
            while at < running.len() {
                let (number, job) = &mut running[at];
                match job.as_mut().poll(context) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(result)) => {
                        results[*number] = Some(result);
                        drop(running.swap_remove(at));
                        ended = true;
                    }
                }
            }
            if running.is_empty() && waiting.is_empty() {
                return Poll::Ready(Ok(true));
            }
            if !ended {
                return Poll::Pending;
            }
        }
    })
    .await?;
    Ok(go_on.then(|| results.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_run_at_a_time_and_results_keep_their_order() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let (now, most) = (&now, &most);
        let jobs = (0..7_u64).map(|number| {
            let job: Job<'_, u64, ()> = Box::pin(async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                sleep(Duration::from_secs(10 - number)).await;
                now.set(now.get() - 1);
                Ok(number)
            });
            job
        });
        let done = together(jobs.collect(), 3, &mut || true).await;
        assert_eq!(done, Ok(Some(vec![0, 1, 2, 3, 4, 5, 6])));
        assert_eq!(most.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_or_the_watcher_ends_all() {
        let slow = || -> Job<'_, (), &str> {
            Box::pin(async {
                sleep(Duration::from_secs(9)).await;
                Ok(())
            })
        };
        let bad: Job<'_, (), &str> = Box::pin(async {
            sleep(Duration::from_secs(1)).await;
            Err("no")
        });
        let began = Instant::now();
        let done = together(vec![slow(), bad, slow()], 5, &mut || true).await;
        assert_eq!(done, Err("no"));
        assert!(began.elapsed() < Duration::from_secs(2));
        let mut ticks = 0;
        let mut few = || {
            ticks += 1;
            ticks < 5
        };
        assert_eq!(together(vec![slow()], 5, &mut few).await, Ok(None));
        assert_eq!(
            together(Vec::<Job<'_, (), ()>>::new(), 5, &mut || true).await,
            Ok(Some(vec![]))
        );
    }
}
