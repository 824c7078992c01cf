//! The messages between the bench and this program. suite.go and server.go describe the fields.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is to be measured.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Job {
    pub candidate: String,
    pub server: Endpoint,
    pub spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    pub plain: String,
    #[serde(rename = "TLS")]
    pub tls: String,
    #[serde(rename = "H2")]
    pub http2: String,
    #[serde(rename = "H2Cap")]
    pub http2_capped: String,
    /// The certificate to trust: DER in base64, as JSON holds bytes.
    pub root: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Spec {
    pub method: String,
    pub path: String,
    pub body: usize,
    #[serde(rename = "TLS")]
    pub tls: bool,
    #[serde(rename = "HTTP2")]
    pub http2: bool,
    pub capped: bool,
    pub callers: usize,
}

/// The fields of each request: those of client.go.
pub const REQUEST_FIELDS: [(&str, &str); 3] =
    [("Accept", "*/*"), ("Authorization", "Bearer 0123456789abcdef"), ("X-Request-Id", "42")];

impl Job {
    /// The host and port that the requests go to.
    pub fn address(&self) -> &str {
        match (self.spec.http2, self.spec.capped, self.spec.tls) {
            (true, true, _) => &self.server.http2_capped,
            (true, false, _) => &self.server.http2,
            (false, _, true) => &self.server.tls,
            (false, _, false) => &self.server.plain,
        }
    }

    pub fn url(&self) -> String {
        let scheme = if self.spec.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.address(), self.spec.path)
    }

    /// The certificate to trust, as PEM (RFC 7468).
    pub fn root_pem(&self) -> String {
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in self.server.root.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|&b| char::from(b)));
            pem.push('\n');
        }
        pem + "-----END CERTIFICATE-----\n"
    }
}

/// Asks for one measurement.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Order {
    window: u64,
}

impl Order {
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }
}

/// What a measurement has found.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reply {
    pub error: String,
    pub values: HashMap<&'static str, f64>,
    pub protocol: String,
}

impl Reply {
    pub fn failure(error: String) -> Reply {
        Reply { error, ..Reply::default() }
    }
}
