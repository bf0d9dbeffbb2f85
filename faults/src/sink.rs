//! Where the service's own webhooks arrive: an address that takes everything and remembers the ids.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it answers.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

type Received = Arc<Mutex<BTreeMap<String, u64>>>;

/// A receiver of webhooks.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    received: Received,
    listening: JoinHandle<()>,
}

impl Sink {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for webhooks")?;
        let address = listener.local_addr().context("where webhooks arrive")?;
        let received = Received::default();
        let listening = tokio::spawn(listen(listener, Arc::clone(&received)));
        Ok(Self { address, received, listening })
    }

    /// How often each event came, by the id in its header.
    pub fn received(&self) -> BTreeMap<String, u64> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, received: Received) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            // Whoever dies in the middle has told nothing.
            if let Ok(Some(id)) = take(stream).await {
                *received.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
            }
        });
    }
}

/// Reads one request to its end and answers it; the id of its event.
async fn take(stream: TcpStream) -> std::io::Result<Option<String>> {
    let mut stream = BufReader::new(stream);
    let (mut id, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            // The first line has no name; the empty one ends the head.
            if line.trim_end().is_empty() { break } else { continue }
        };
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => id = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    stream.write_all(TAKEN).await?;
    stream.shutdown().await?;
    Ok(id)
}
