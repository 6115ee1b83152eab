//! TLS for axum, with a certificate that may change while it serves.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::serve::Listener;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The longest that a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that may wait to be served.
const WAITING: usize = 64;

/// The certificate that is served at present.
#[derive(Debug, Default)]
pub struct Current(RwLock<Option<Arc<CertifiedKey>>>);

impl Current {
    /// Serve this one from the next connection on.
    pub fn set(&self, key: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Accepts TLS connections; one that dawdles or fails holds up no other.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TlsListener {
    /// Listens at `address` with the certificate that `current` has at the time.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn bind(address: SocketAddr, current: Arc<Current>) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.map_err(io::Error::other)?.with_no_client_auth().with_cert_resolver(current);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (ready, received) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, from) = Listener::accept(&mut listener).await;
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => _ = ready.send((stream, from)).await,
                        Ok(Err(error)) => tracing::debug!(%from, %error, "handshake"),
                        Err(_) => tracing::debug!(%from, "no handshake in time"),
                    }
                });
            }
        });
        Ok(Self { address, ready: received, accepting })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // the accepting task ends with this listener only
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
