//! Packets that are lost on the way, by the kernel's own filter: what a proxy between two connections cannot do, since
//! each of them is whole.
//!
//! Only in a network namespace of its own (`unshare -n`), so that nothing else on the machine is concerned.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The filter's table; nobody else has one of this name.
const TABLE: &str = "partita_faults";

/// Packets that are lost, from when it is begun until it is ended.
#[derive(Debug)]
pub struct Loss(());

impl Loss {
    /// Whether packets can be lost here: in a network namespace of its own, with the program `nft`.
    pub async fn is_possible() -> bool {
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let is_own = of("self").is_some() && of("self") != of("1");
        is_own && nft(&["list", "ruleset"], "").await.is_ok()
    }

    /// Loses so many per mille of the packets that go to a port of this machine or come from it.
    ///
    /// # Errors
    /// When the filter cannot be set.
    pub async fn begin(port: u16, per_mille: u16) -> anyhow::Result<Self> {
        let drop = |side: &str| format!("tcp {side} {port} numgen random mod 1000 < {per_mille} counter drop\n");
        let rules = format!(
            "table inet {TABLE} {{\nchain input {{\ntype filter hook input priority 0\n{}{}}}\n}}\n",
            drop("dport"),
            drop("sport")
        );
        nft(&["-f", "-"], &rules).await?;
        Ok(Self(()))
    }

    /// Ends it; how many packets were lost.
    ///
    /// # Errors
    /// When the filter cannot be read or taken away.
    pub async fn end(self) -> anyhow::Result<u64> {
        let told = nft(&["list", "table", "inet", TABLE], "").await?;
        nft(&["delete", "table", "inet", TABLE], "").await?;
        let counts = told.split("counter packets ").skip(1);
        Ok(counts.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum())
    }
}

async fn nft(words: &[&str], input: &str) -> anyhow::Result<String> {
    let mut command = Command::new("nft");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("the program nft")?;
    let mut stdin = child.stdin.take().context("a pipe to nft")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    anyhow::ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
