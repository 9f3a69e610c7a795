//! Many things at a time, but not all.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Does the work for each item, at most `at_once` at a time, and returns the results in the order
/// of the items. The first failure ends it.
pub(super) async fn each<I, T, E, F: Future<Output = Result<T, E>>>(
    items: impl IntoIterator<Item = I>,
    at_once: usize,
    work: impl Fn(I) -> F,
) -> Result<Vec<T>, E> {
    let mut waiting = items.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut results: Vec<Option<T>> = Vec::new();
    poll_fn(|context| {
        loop {
            while running.len() < at_once.max(1)
                && let Some((place, item)) = waiting.next()
            {
                running.push((place, Box::pin(work(item))));
                results.push(None);
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
            if before == 0 {
                return Poll::Ready(Ok(()));
            }
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await?;
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        task::{Context, Waker},
    };

    use super::*;

    /// Waits until it was asked so many times.
    async fn after(mut times: u32) {
        poll_fn(|context| {
            context.waker().wake_by_ref();
            times = times.saturating_sub(1);
            if times == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut future = Box::pin(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result;
            }
        }
    }

    #[test]
    fn results_come_in_order_and_no_more_run_than_may() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let (running, most) = (&running, &most);
        let work = |item: u32| async move {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            after(7 - item % 7).await;
            running.set(running.get() - 1);
            Ok::<_, ()>(item)
        };
        let items: Vec<u32> = (0..50).collect();
        assert_eq!(run(each(items.clone(), 5, work)), Ok(items));
        assert_eq!(most.get(), 5);
        assert_eq!(run(each([], 5, work)), Ok(Vec::new()));
    }

    #[test]
    fn the_first_failure_ends_the_work() {
        let begun = Cell::new(0);
        let begun = &begun;
        let work = |item: u32| async move {
            begun.set(begun.get() + 1);
            after(1).await;
            if item == 3 { Err(item) } else { Ok(item) }
        };
        assert_eq!(run(each(0..50, 2, work)), Err(3));
        assert!(begun.get() < 10, "{}", begun.get());
    }
}
