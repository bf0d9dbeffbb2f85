//! The messages of Postgres' protocol, as far as a proxy needs them: where one ends, and which one commits
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use std::collections::HashSet;

/// The largest message that is taken for one; Postgres' own limit.
const LARGEST_MESSAGE: usize = 1 << 30;

/// What a message of the client's start-up phase asks for, by its code.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Bytes that are no protocol of Postgres'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not Postgres' protocol")]
pub(crate) struct Broken;

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    waiting: Vec<u8>,
    /// A client's first messages have no type.
    untyped: bool,
}

impl Messages {
    /// Of a client: the first message has no type.
    pub(crate) fn of_client() -> Self {
        Self { waiting: Vec::new(), untyped: true }
    }

    /// Of a server.
    pub(crate) fn of_server() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub(crate) fn pop(&mut self) -> Result<Option<Message>, Broken> {
        let head = usize::from(!self.untyped);
        let Some(length) = self.waiting.get(head..head + 4).and_then(|bytes| bytes.try_into().ok()) else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Broken)?;
        if !(4..=LARGEST_MESSAGE).contains(&length) {
            return Err(Broken);
        }
        if self.waiting.len() < head + length {
            return Ok(None);
        }
        let rest = self.waiting.split_off(head + length);
        let message = Message { bytes: std::mem::replace(&mut self.waiting, rest), typed: !self.untyped };
        if self.untyped && !message.asks_for_encryption() {
            self.untyped = false;
        }
        Ok(Some(message))
    }
}

/// A whole message with its type and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    typed: bool,
}

impl Message {
    /// The type; none for the start-up phase.
    pub(crate) fn kind(&self) -> Option<u8> {
        self.bytes.first().copied().filter(|_| self.typed)
    }

    /// A request for TLS or GSS, which a proxy that reads along must decline.
    pub(crate) fn asks_for_encryption(&self) -> bool {
        let code = self.bytes.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        !self.typed && matches!(code, Some(SSL_REQUEST | GSS_REQUEST))
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(5..).unwrap_or_default()
    }

    /// The texts that a body begins with, each ended by a zero.
    fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.body().split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// Follows what a client says, to know when it commits: by a simple query, or by the execution of a statement that was
/// parsed and bound before, which takes effect with the next `Sync`.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    statements: HashSet<String>,
    portals: HashSet<String>,
    executed: bool,
}

impl Commits {
    /// Whether the server commits when it has this message.
    pub(crate) fn by(&mut self, message: &Message) -> bool {
        let mut texts = message.texts();
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match message.kind() {
            Some(b'Q') => return commits(&first),
            Some(b'P') => keep(&mut self.statements, first, commits(&second)),
            Some(b'B') => {
                let known = self.statements.contains(&second);
                keep(&mut self.portals, first, known);
            }
            Some(b'E') => self.executed |= self.portals.contains(&first),
            Some(b'S') => return std::mem::take(&mut self.executed),
            _ => {}
        }
        false
    }
}

fn keep(names: &mut HashSet<String>, name: String, is_commit: bool) {
    if is_commit {
        names.insert(name);
    } else {
        names.remove(&name);
    }
}

/// Whether one of the statements of a text is a commit of the transaction.
fn commits(sql: &str) -> bool {
    sql.split(';').any(|statement| {
        let mut words = statement.split_whitespace();
        let first = words.next().unwrap_or_default();
        let prepared = words.next().is_some_and(|word| word.eq_ignore_ascii_case("prepared"));
        (first.eq_ignore_ascii_case("commit") || first.eq_ignore_ascii_case("end")) && !prepared
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message of a type with a body.
    pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn startup(code: u32) -> Vec<u8> {
        [8_u32.to_be_bytes(), code.to_be_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Message {
        let mut messages = Messages::of_server();
        messages.push(bytes);
        messages.pop().expect("lawful").expect("whole")
    }

    #[test]
    fn messages_are_whole_however_the_bytes_come() {
        let stream =
            [startup(SSL_REQUEST), startup(196_608), message(b'Q', b"select 1\0"), message(b'X', b"")].concat();
        let mut messages = Messages::of_client();
        let mut seen = Vec::new();
        for byte in &stream {
            messages.push(&[*byte]);
            while let Some(message) = messages.pop().expect("lawful") {
                seen.push(message);
            }
        }
        let kinds: Vec<Option<u8>> = seen.iter().map(Message::kind).collect();
        assert_eq!(kinds, [None, None, Some(b'Q'), Some(b'X')]);
        assert!(seen[0].asks_for_encryption() && !seen[1].asks_for_encryption());
        assert_eq!(seen.into_iter().flat_map(|message| message.bytes).collect::<Vec<u8>>(), stream);
    }

    #[test]
    fn a_length_that_cannot_be_is_no_protocol() {
        for length in [0_u32, 3, u32::MAX] {
            let mut messages = Messages::of_server();
            messages.push(&[b"Q".as_slice(), length.to_be_bytes().as_slice()].concat());
            assert_eq!(messages.pop(), Err(Broken), "{length}");
        }
    }

    #[test]
    fn a_simple_commit_is_seen_however_it_is_spelt() {
        for (sql, expected) in [
            ("COMMIT", true),
            (" commit ;", true),
            ("commit transaction", true),
            ("END", true),
            ("insert into t values (1); commit", true),
            ("commit prepared 'x'", false),
            ("rollback", false),
            ("select 'commit'", false),
            ("update commits set a = 1", false),
        ] {
            let query = read(&message(b'Q', &[sql.as_bytes(), b"\0"].concat()));
            assert_eq!(Commits::default().by(&query), expected, "{sql}");
        }
    }

    #[test]
    fn a_prepared_commit_is_seen_when_it_is_executed_and_synchronised() {
        let parse = read(&message(b'P', b"s1\0COMMIT\0\0\0"));
        let bind = read(&message(b'B', b"p1\0s1\0\0\0\0\0\0\0"));
        let execute = read(&message(b'E', b"p1\0\0\0\0\0"));
        let sync = read(&message(b'S', b""));
        let mut commits = Commits::default();
        for quiet in [&parse, &bind, &execute] {
            assert!(!commits.by(quiet));
        }
        assert!(commits.by(&sync));
        assert!(!commits.by(&sync), "once");
        let other = read(&message(b'P', b"s1\0select 1\0\0\0"));
        for message in [&other, &bind, &execute, &sync] {
            assert!(!commits.by(message), "the name stands for another statement now");
        }
    }
}
