//! HTTP clients written in Rust, as candidates of the bench.
//!
//! The bench starts this program as it starts its clients written in Go. It sends a job, and then an order for each
//! measurement: JSON on the standard input, a line each. The program answers each line with one on the standard
//! output, and ends when its input ends.
//!
//! protocol.rs has the messages, load.rs the callers that share a client, and each client has a file.

mod hyper_client;
mod load;
mod pingora_client;
mod protocol;
mod reqwest_client;

use std::io::{self, BufRead, Write};

use load::{Client, Crowd};
use protocol::{Job, Order, Reply};
use tokio::runtime::{Builder, Runtime};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the name of a candidate ends with that has one thread rather than one for each CPU.
const ONE_THREAD: &str = ", 1 thread";

fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "rustls has a provider already")?;
    let mut input = io::stdin().lock().lines();
    let Some(line) = input.next() else { return Ok(()) };
    let job: Job = serde_json::from_str(&line?)?;
    let threads = match job.candidate.ends_with(ONE_THREAD) {
        true => 1,
        false => std::thread::available_parallelism()?.get(),
    };
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let entered = runtime.enter(); // some clients start tasks when they are made
    match job.candidate.trim_end_matches(ONE_THREAD) {
        "pingora" => converse(&runtime, &job, pingora_client::new(&job), input),
        "hyper-util" => converse(&runtime, &job, hyper_client::new(&job), input),
        "reqwest" => converse(&runtime, &job, reqwest_client::new(&job), input),
        other => reply(&Reply::failure(format!("no client written in Rust is called {other:?}"))),
    }?;
    drop(entered);
    runtime.shutdown_background();
    Ok(())
}

/// Answers the job, and then each order.
fn converse<C: Client>(
    runtime: &Runtime,
    job: &Job,
    client: Result<C>,
    orders: impl Iterator<Item = io::Result<String>>,
) -> Result<()> {
    let mut crowd = match client {
        Ok(client) => Crowd::new(client, job.spec.callers),
        Err(err) => return reply(&Reply::failure(err.to_string())),
    };
    reply(&Reply::default())?;
    for line in orders {
        let order: Order = serde_json::from_str(&line?)?;
        let answer = match runtime.block_on(crowd.measure(order.window())) {
            Ok(reading) => reading,
            Err(err) => Reply::failure(err.to_string()),
        };
        reply(&answer)?;
    }
    Ok(())
}

fn reply(reply: &Reply) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, reply)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
