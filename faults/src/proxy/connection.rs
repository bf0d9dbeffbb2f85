//! One connection through a proxy.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::wire::{Broken, Commits, Message, Messages};
use super::{Protocol, Shared, Weather};
use crate::dice::Dice;

/// How long the server may take to commit before the connection is cut anyway.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);

/// The server is ready for the next query.
const READY: u8 = b'Z';

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// One of the two closed it, or it broke by itself.
    Closed,
    /// The proxy ends it.
    Cut,
}

/// Why the pump stops; an error of the connection's is the other way of closing.
#[derive(Debug)]
struct Stop(End);

impl From<io::Error> for Stop {
    fn from(_closed: io::Error) -> Self {
        Self(End::Closed)
    }
}

impl From<Broken> for Stop {
    fn from(_not_understood: Broken) -> Self {
        Self(End::Cut)
    }
}

/// Forwards until one side closes or the weather ends it.
pub(super) async fn run(client: &TcpStream, server: &TcpStream, shared: &Shared, dice: Dice) -> End {
    let mut connection = Connection {
        client,
        server,
        shared,
        dice,
        weather: shared.weather.subscribe(),
        from_client: Messages::of_client(),
        commits: Commits::default(),
    };
    match connection.pump().await {
        Ok(never) => match never {},
        Err(Stop(end)) => end,
    }
}

struct Connection<'a> {
    client: &'a TcpStream,
    server: &'a TcpStream,
    shared: &'a Shared,
    dice: Dice,
    weather: watch::Receiver<Weather>,
    from_client: Messages,
    commits: Commits,
}

impl Connection<'_> {
    async fn pump(&mut self) -> Result<std::convert::Infallible, Stop> {
        let (mut asked, mut answered) = (vec![0; 32 * 1024], vec![0; 32 * 1024]);
        loop {
            // Both sides are only waited for here; what is read is handled to its end, so that nothing is lost.
            tokio::select! {
                ready = self.client.readable() => {
                    ready?;
                    if let Some(length) = read(self.client, &mut asked)? {
                        self.ask(&asked[..length]).await?;
                    }
                }
                ready = self.server.readable() => {
                    ready?;
                    if let Some(length) = read(self.server, &mut answered)? {
                        self.answer(&answered[..length]).await?;
                    }
                }
            }
        }
    }

    /// What the client said.
    async fn ask(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if self.shared.protocol == Protocol::Plain {
            let weather = self.weather().await?;
            return if self.dice.happens(weather.cut_request) {
                Err(Stop(End::Cut))
            } else {
                Ok(write(self.server, bytes).await?)
            };
        }
        self.from_client.push(bytes);
        while let Some(message) = self.from_client.pop()? {
            if message.asks_for_encryption() {
                write(self.client, b"N").await?;
                continue;
            }
            let weather = self.weather().await?;
            let commits = self.commits.by(&message);
            if commits && self.dice.happens(weather.drop_commit) {
                count(&self.shared.counters.commits_dropped);
                return Err(Stop(End::Cut));
            }
            if commits && self.dice.happens(weather.eat_commit) {
                return self.eat_reply(&message).await;
            }
            if self.dice.happens(weather.cut_request) {
                return Err(Stop(End::Cut));
            }
            write(self.server, &message.bytes).await?;
        }
        Ok(())
    }

    /// Has the server commit, and keeps it to itself.
    async fn eat_reply(&mut self, commit: &Message) -> Result<(), Stop> {
        write(self.server, &commit.bytes).await?;
        let committed = tokio::time::timeout(COMMIT_WITHIN, self.swallow_until_ready()).await;
        if matches!(committed, Ok(Ok(()))) {
            count(&self.shared.counters.commits_eaten);
        }
        Err(Stop(End::Cut))
    }

    async fn swallow_until_ready(&mut self) -> Result<(), Stop> {
        // What the server said before has been forwarded: the next message begins here.
        let (mut from_server, mut buffer) = (Messages::of_server(), vec![0; 4 * 1024]);
        loop {
            self.server.readable().await?;
            let Some(length) = read(self.server, &mut buffer)? else { continue };
            from_server.push(&buffer[..length]);
            while let Some(message) = from_server.pop()? {
                if message.kind() == Some(READY) {
                    return Ok(());
                }
            }
        }
    }

    /// What the server said.
    async fn answer(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let weather = self.weather().await?;
        if self.dice.happens(weather.cut_answer) {
            write(self.client, &bytes[..bytes.len() / 2]).await?;
            return Err(Stop(End::Cut));
        }
        Ok(write(self.client, bytes).await?)
    }

    /// Waits as the weather demands; what it is then.
    async fn weather(&mut self) -> Result<Weather, Stop> {
        let gone = |_gone: watch::error::RecvError| Stop(End::Cut);
        let weather = *self.weather.wait_for(|weather| !weather.black_hole).await.map_err(gone)?;
        if weather.latency_ms > 0 {
            let delay = self.dice.below(weather.latency_ms + 1);
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        Ok(weather)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What is there; none when it was a false alarm.
fn read(stream: &TcpStream, buffer: &mut [u8]) -> Result<Option<usize>, Stop> {
    match stream.try_read(buffer) {
        Ok(0) => Err(Stop(End::Closed)),
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
