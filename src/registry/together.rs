//! Many things that wait at a time, but not all, on one thread.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// How often whoever watches is asked.
const TICK: Duration = Duration::from_millis(100);

/// Does the work for each item, at most `at_once` at a time, and returns the results in the order
/// of the items. Work is made when its turn comes: what waits costs nothing. The first failure ends
/// all. `tick` is called ten times a second; when it returns false everything ends, without a
/// result.
pub async fn together<I, T, E, F: Future<Output = Result<T, E>>>(
    items: impl IntoIterator<Item = I>,
    at_once: usize,
    work: impl Fn(I) -> F,
    tick: &mut dyn FnMut() -> bool,
) -> Result<Option<Vec<T>>, E> {
    let mut waiting = items.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut results: Vec<Option<T>> = Vec::new();
    let mut timer = Box::pin(sleep(TICK));
    let go_on = poll_fn(|context| {
        while timer.as_mut().poll(context).is_ready() {
            if !tick() {
                return Poll::Ready(Ok(false));
            }
            timer.as_mut().reset(Instant::now() + TICK);
        }
        loop {
            while running.len() < at_once.max(1)
                && let Some((place, item)) = waiting.next()
            {
                running.push((place, Box::pin(work(item))));
                results.push(None);
            }
            if running.is_empty() {
                return Poll::Ready(Ok(true));
            }
            let mut failed = None;
            let before = running.len();
            // All that run are asked again when one of them may have got on: they are few.
            running.retain_mut(|(place, future)| match future.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(result)) => {
                    results[*place] = Some(result);
                    false
                }
                Poll::Ready(Err(error)) => {
                    failed = Some(error);
                    false
                }
            });
            if let Some(error) = failed {
                return Poll::Ready(Err(error));
            }
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await?;
    Ok(go_on.then(|| results.into_iter().flatten().collect()))
}

/// Does what [`together`] does for those whose caller looks himself whether it should go on.
pub async fn each<I, T, E, F: Future<Output = Result<T, E>>>(
    items: impl IntoIterator<Item = I>,
    at_once: usize,
    work: impl Fn(I) -> F,
) -> Result<Vec<T>, E> {
    let all = together(items, at_once, work, &mut || true).await?;
    Ok(all.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_order_and_no_more_run_or_are_made_than_may() {
        let (running, most, made) = (Cell::new(0), Cell::new(0), Cell::new(0_u64));
        let (running, most, made) = (&running, &most, &made);
        let work = |item: u64| {
            made.set(made.get() + 1);
            async move {
                assert!(made.get() <= item + 5, "what waits is not made");
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                sleep(Duration::from_secs(7 - item % 7)).await;
                running.set(running.get() - 1);
                Ok::<_, ()>(item)
            }
        };
        let items: Vec<u64> = (0..50).collect();
        assert_eq!(each(items.clone(), 5, work).await, Ok(items));
        assert_eq!(most.get(), 5);
        assert_eq!(each([], 5, work).await, Ok(Vec::new()));
        assert_eq!(each([50], 0, work).await, Ok(vec![50]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_or_the_watcher_ends_all() {
        let begun = Cell::new(0);
        let begun = &begun;
        let work = |item: u32| async move {
            begun.set(begun.get() + 1);
            sleep(Duration::from_secs(if item == 3 { 1 } else { 9 })).await;
            if item == 3 { Err(item) } else { Ok(item) }
        };
        let start = Instant::now();
        assert_eq!(each(3..50, 2, work).await, Err(3));
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(begun.get(), 2);
        let mut ticks = 0;
        let mut few = || {
            ticks += 1;
            ticks < 5
        };
        assert_eq!(together([0], 5, work, &mut few).await, Ok(None));
    }
}
