//! hyper-util's client with hyper-rustls: the pooled client of the hyper project.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::load::{Answer, Client};
use crate::protocol::{Job, REQUEST_FIELDS};
use crate::Result;

pub struct HyperClient {
    pooled: Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: Request<Full<Bytes>>,
}

pub fn new(job: &Job) -> Result<HyperClient> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(job.root_pem().as_bytes())?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let connector = match job.spec.http2 {
        true => builder.enable_http2().wrap_connector(tcp),
        false => builder.enable_http1().wrap_connector(tcp),
    };
    let pooled = Pooled::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http2_only(job.spec.http2)
        .build(connector);
    let mut request = Request::builder().method(job.spec.method.as_str()).uri(job.url());
    for (name, value) in REQUEST_FIELDS {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(vec![0; job.spec.body]));
    Ok(HyperClient { pooled, request: request.body(body)? })
}

impl Client for HyperClient {
    async fn call(&self) -> Result<Answer> {
        let response = self.pooled.request(self.request.clone()).await?;
        let (status, version) = (response.status().as_u16(), response.version());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(Answer { status, version })
    }
}
