//! The HTTP connector of Pingora, with its connection pool: what a proxy built on Pingora sends requests with.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Uri, Version};
use pingora_core::connectors::http::Connector;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;

use crate::load::{Answer, Client};
use crate::protocol::{Job, REQUEST_FIELDS};
use crate::Result;

pub struct PingoraClient {
    connector: Connector,
    peer: HttpPeer,
    request: RequestHeader,
    body: Bytes,
}

/// How many idle connections the pool keeps: more than any comparison opens.
const KEPT: usize = 1 << 14;

/// Requests at a time on a connection of HTTP/2, at most; Pingora uses one if nothing is said. Go's server allows 250, or
/// 100 if the comparison caps them. It refuses those beyond that.
const STREAMS: usize = 250;
const CAPPED_STREAMS: usize = 100;

const IDLE: Option<Duration> = Some(Duration::from_secs(90));

pub fn new(job: &Job) -> Result<PingoraClient> {
    let mut options = ConnectorOptions::new(KEPT);
    let root = job.spec.tls.then(|| TrustFile::new(&job.root_pem())).transpose()?;
    options.ca_file = root.as_ref().map(|file| file.0.to_string_lossy().into_owned());
    let connector = Connector::new(Some(options)); // reads the file

    let mut peer = HttpPeer::new(job.address(), job.spec.tls, "127.0.0.1".into());
    let uri: Uri = job.url().parse()?;
    let mut request = RequestHeader::build(job.spec.method.as_str(), job.spec.path.as_bytes(), None)?;
    if job.spec.http2 {
        peer.options.alpn = ALPN::H2;
        peer.options.max_h2_streams = if job.spec.capped { CAPPED_STREAMS } else { STREAMS };
        request.set_uri(uri);
        request.set_version(Version::HTTP_2);
    } else {
        request.append_header("Host", job.address())?;
    }
    for (name, value) in REQUEST_FIELDS {
        request.append_header(name, value)?;
    }
    if job.spec.body > 0 {
        request.append_header("Content-Length", job.spec.body.to_string())?;
    }
    Ok(PingoraClient { connector, peer, request, body: Bytes::from(vec![0; job.spec.body]) })
}

impl Client for PingoraClient {
    async fn call(&self) -> Result<Answer> {
        let (mut session, _reused) = self.connector.get_http_session(&self.peer).await?;
        let head = Box::new(self.request.clone());
        match &mut session {
            // Without a body, the head must end the stream. The server may else answer and reset it before we end it.
            HttpSession::H2(stream) => stream.write_request_header(head, self.body.is_empty())?,
            other => other.write_request_header(head).await?,
        }
        if !self.body.is_empty() {
            session.write_request_body(self.body.clone(), true).await?;
        }
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let status = session.response_header().ok_or("a response without a head")?.status.as_u16();
        let version = if session.as_http2().is_some() { Version::HTTP_2 } else { Version::HTTP_11 };
        while session.read_response_body().await?.is_some() {}
        self.connector.release_http_session(session, &self.peer, IDLE).await;
        Ok(Answer { status, version })
    }
}

/// A file with the certificate to trust, which goes with this value. Pingora takes trust from a file alone.
struct TrustFile(PathBuf);

impl TrustFile {
    fn new(pem: &str) -> Result<TrustFile> {
        let path = std::env::temp_dir().join(format!("rustclients-{}.pem", std::process::id()));
        std::fs::write(&path, pem)?;
        Ok(TrustFile(path))
    }
}

impl Drop for TrustFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // it is in the directory for what may go
    }
}
