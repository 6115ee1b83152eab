//! A worker's side of the network.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use tributary_mapreduce_core::job::{Poll, Reply};

use super::auth::{self, Key, NONCE, SIGNATURE, Side};
use crate::link::{Link, LinkError};

/// A line to a coordinator by HTTP.
#[derive(Debug)]
pub struct HttpLink {
    client: reqwest::Client,
    url: String,
    key: Key,
}

impl HttpLink {
    /// To the coordinator at `base`, such as `http://job-coordinator.namespace.svc:7070`. A poll that has no answer
    /// after `timeout` is given up.
    pub fn new(base: &str, key: Key, timeout: Duration) -> Result<Self, LinkError> {
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(2)).timeout(timeout).build();
        let client = client.map_err(|e| LinkError::Unavailable(e.to_string()))?;
        Ok(Self { client, url: format!("{}/v1/poll", base.trim_end_matches('/')), key })
    }
}

#[async_trait]
impl Link for HttpLink {
    async fn poll(&self, poll: &Poll) -> Result<Reply, LinkError> {
        let body = serde_json::to_vec(poll).map_err(|e| unavailable(&e))?;
        let nonce = auth::nonce();
        let signature = self.key.sign(Side::Request, &nonce, &body);
        let request = self.client.post(&self.url).header(NONCE, &nonce).header(SIGNATURE, signature).body(body);
        let response = request.send().await.map_err(|e| unavailable(&e))?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(LinkError::Unauthenticated("the coordinator refuses the worker".into()));
        }
        let signature = response.headers().get(SIGNATURE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = response.bytes().await.map_err(|e| unavailable(&e))?;
        if !status.is_success() {
            return Err(LinkError::Unavailable(format!("{status}: {}", String::from_utf8_lossy(&body))));
        }
        if !self.key.verify(Side::Reply, &nonce, &body, &signature) {
            return Err(LinkError::Unauthenticated("what answers is not the coordinator".into()));
        }
        serde_json::from_slice(&body).map_err(|e| unavailable(&e))
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> LinkError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    LinkError::Unavailable(innermost.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use tributary_mapreduce_core::job::WorkerId;

    use super::super::server::serve;
    use super::*;

    struct Done;

    #[async_trait]
    impl Link for Done {
        async fn poll(&self, poll: &Poll) -> Result<Reply, LinkError> {
            Ok(Reply { done: poll.seq == 7, ..Reply::default() })
        }
    }

    async fn server(key: Key) -> (String, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::new(Done), key, stop.clone()));
        (format!("http://{address}"), stop)
    }

    fn poll() -> Poll {
        let worker = WorkerId { name: "w".into(), incarnation: "1".into() };
        Poll { worker, seq: 7, free: 1, running: vec![], reports: vec![], leaving: false }
    }

    #[tokio::test]
    async fn the_two_understand_each_other_by_the_same_key_only() {
        let (mine, other) = (Key::new(&[1; 32]).unwrap(), Key::new(&[2; 32]).unwrap());
        let (url, stop) = server(mine.clone()).await;
        let timeout = Duration::from_secs(30);
        assert!(HttpLink::new(&url, mine, timeout).unwrap().poll(&poll()).await.unwrap().done);
        let refused = HttpLink::new(&url, other, timeout).unwrap().poll(&poll()).await.unwrap_err();
        assert!(matches!(refused, LinkError::Unauthenticated(_)), "{refused}");
        stop.cancel();
    }

    #[tokio::test]
    async fn a_reply_that_is_not_signed_is_not_taken() {
        let app = axum::Router::new().route("/v1/poll", axum::routing::post(|| async { r#"{"done":true}"# }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        let link = HttpLink::new(&url, Key::new(&[1; 32]).unwrap(), Duration::from_secs(30)).unwrap();
        assert!(matches!(link.poll(&poll()).await.unwrap_err(), LinkError::Unauthenticated(_)));
        serving.abort();
    }

    #[tokio::test]
    async fn nobody_there_is_unavailable_and_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let link = HttpLink::new(&url, Key::new(&[1; 32]).unwrap(), Duration::from_secs(30)).unwrap();
        let error = link.poll(&poll()).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
