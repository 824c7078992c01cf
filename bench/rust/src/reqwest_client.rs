//! reqwest: the client that most programs written in Rust use.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method, Url};

use crate::load::{Answer, Client};
use crate::protocol::{Job, REQUEST_FIELDS};
use crate::Result;

pub struct ReqwestClient {
    client: reqwest::Client,
    method: Method,
    url: Url,
    fields: HeaderMap,
    body: Bytes,
}

pub fn new(job: &Job) -> Result<ReqwestClient> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(job.root_pem().as_bytes())?]);
    if !job.spec.http2 {
        builder = builder.http1_only();
    }
    let mut fields = HeaderMap::new();
    for (name, value) in REQUEST_FIELDS {
        fields.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_static(value));
    }
    Ok(ReqwestClient {
        client: builder.build()?,
        method: Method::from_bytes(job.spec.method.as_bytes())?,
        url: job.url().parse()?,
        fields,
        body: Bytes::from(vec![0; job.spec.body]),
    })
}

impl Client for ReqwestClient {
    async fn call(&self) -> Result<Answer> {
        let mut request = self.client.request(self.method.clone(), self.url.clone()).headers(self.fields.clone());
        if !self.body.is_empty() {
            request = request.body(self.body.clone());
        }
        let mut response = request.send().await?;
        while response.chunk().await?.is_some() {}
        Ok(Answer { status: response.status().as_u16(), version: response.version() })
    }
}
