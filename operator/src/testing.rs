//! For tests: an HTTP server that answers as a test tells it to, and keeps what it was asked.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use kube::{Client, Config};
use serde_json::{Value, json};

/// A request as it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Verb and path, such as `POST /api/v1/...`.
    pub what: String,
    /// The query.
    pub query: String,
    /// The body, if it is JSON.
    pub body: Value,
    /// In whose name; empty for the operator's own.
    pub user: String,
}

type Answers = HashMap<String, Vec<(u16, Value)>>;

/// The server.
#[derive(Clone, Default)]
pub struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Server {
    /// A server and a client of it.
    pub async fn start() -> (Self, Client) {
        let server = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut config = Config::new(format!("http://{address}").parse().unwrap());
        config.default_retry = false;
        (server, Client::try_from(config).unwrap())
    }

    /// Answers `what`, such as `POST /api/v1/namespaces/ns/configmaps`; the last answer stands for all further ones.
    pub fn on(&self, what: &str, code: u16, body: Value) {
        self.answers.lock().unwrap().entry(what.into()).or_default().push((code, body));
    }

    /// What was asked up to now, watches and lists left out.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|a| !a.what.starts_with("GET") || !a.query.contains("limit"))
            .cloned()
            .collect()
    }

    /// The same without queries and bodies.
    pub fn requests(&self) -> Vec<String> {
        self.asked().into_iter().map(|a| a.what).collect()
    }
}

async fn answer(State(server): State<Server>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let what = format!("{method} {}", uri.path());
    let asked = Asked {
        what: what.clone(),
        query: uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        user: headers.get("impersonate-user").map(|u| u.to_str().unwrap().to_owned()).unwrap_or_default(),
    };
    server.asked.lock().unwrap().push(asked);
    let mut answers = server.answers.lock().unwrap();
    let (code, body) = match answers.get_mut(&what) {
        Some(list) if list.len() > 1 => list.remove(0),
        Some(list) => list[0].clone(),
        None => (404, failure(404, "NotFound", "nobody told me")),
    };
    (StatusCode::from_u16(code).unwrap(), body.to_string()).into_response()
}

/// The body of a refusal.
pub fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message})
}
