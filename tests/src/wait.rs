//! Waiting for conditions.

use std::future::Future;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

/// How long a test waits for what must come. Generous: it ends a hang, it measures nothing.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// What `probe` yields first. `None` means "not yet"; the error after [`DEADLINE`] has `what` and the last state, which
/// `probe` describes in its second value.
pub async fn until<T, F, Fut>(what: &str, mut probe: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<(Option<T>, String)>>,
{
    let end = Instant::now() + DEADLINE;
    loop {
        let last = match probe().await {
            Ok((Some(value), _)) => return Ok(value),
            Ok((None, state)) => state,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > end {
            bail!("waited {DEADLINE:?} for {what}; last seen: {last}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}
