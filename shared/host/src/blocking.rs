//! The one door to the pool of blocking threads, so that a search finds every user.

use std::io;

/// Runs `work` on a blocking thread of the runtime and waits for its result.
///
/// A panic in `work` goes on in the caller: it costs that call, not the pool.
pub async fn run_blocking<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work that has started cannot be cancelled; this is the runtime going away under us.
            Err(_) => std::future::pending().await,
        },
    }
}

/// As [`run_blocking`] for work that ends in an [`io::Result`], to keep call sites short.
pub async fn run_blocking_io<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    run_blocking(work).await
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn values_and_panics_come_back() {
        assert_eq!(super::run_blocking(|| 7).await, 7);
        let failed = tokio::spawn(super::run_blocking(|| panic!("boom"))).await;
        assert!(failed.unwrap_err().is_panic());
    }
}
