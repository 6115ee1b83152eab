#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use axum::{Router, routing::get};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tributary_crds::Timestamp;

use super::{
    authority::Authority,
    tls::{Current, TlsListener},
};

const NAME: &str = "hook.ns.svc";

/// Asks over TLS, trusting this bundle.
async fn ask(address: std::net::SocketAddr, bundle: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(NAME.try_into().unwrap(), stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn it_serves_while_its_authority_changes_and_a_client_that_is_silent_holds_up_nobody() {
    let now = Timestamp::now();
    let names = [NAME.to_owned()];
    let first = Authority::new(now).unwrap();
    let current = Arc::new(Current::default());
    let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), current.clone()).await.unwrap();
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    let router = Router::new().route("/", get(|| async { "served" }));
    tokio::spawn(async move { axum::serve(listener, router).await });

    // before there is a certificate, a client fails and the server does not
    assert!(ask(address, &first.bundle()).await.is_err());
    current.set(first.certificate(&names, now).unwrap().key);
    let silent = TcpStream::connect(address).await.unwrap();
    assert!(ask(address, &first.bundle()).await.unwrap().ends_with("served"));

    // between the apiserver's learning of the successor and this replica's, the old certificate still counts
    let second = first.successor(now).unwrap();
    assert!(ask(address, &second.bundle()).await.unwrap().ends_with("served"));
    current.set(second.certificate(&names, now).unwrap().key);
    assert!(ask(address, &second.bundle()).await.unwrap().ends_with("served"));
    assert!(ask(address, &first.bundle()).await.is_err());
    drop(silent);
}
