use std::io::Write as _;
use std::net::IpAddr;

use clap::{CommandFactory as _, Parser};

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    pepper: PepperArgs,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    commands: CommandArgs,
}

fn cli(args: &[&str]) -> Cli {
    Cli::try_parse_from([&["partita"], args].concat()).expect("valid options")
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

const PEPPER: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn printed(cli: &Cli) -> Vec<Setting> {
    print(&cli.log, &cli.database, &cli.owner, &cli.pepper, &cli.encryption, &cli.egress, &cli.http, &cli.commands)
}

#[test]
fn an_encryption_key_is_needed_and_must_be_random() {
    let missing = cli(&[]).encryption.vault().expect_err("none");
    assert!(missing.to_string().contains("openssl rand -hex 32"), "{missing}");
    for bad in ["", "short", &"0".repeat(64)] {
        let error = cli(&["--encryption-key", bad]).encryption.vault().expect_err("too weak");
        assert!(error.to_string().starts_with("PARTITA_ENCRYPTION_KEY"), "{error}");
    }
    let file = file_with(&format!("{KEY}\n"));
    let path = file.path().to_str().expect("UTF-8");
    for args in [["--encryption-key", KEY], ["--encryption-key-file", path]] {
        assert_eq!(cli(&args).encryption.vault().expect("a key").version(), Some(1));
    }
}

#[test]
fn webhooks_go_out_by_https_to_the_public_unless_told_otherwise() {
    use partita_webhooks::sending::Destination;
    let strict = cli(&[]).egress.policy();
    assert_eq!(strict, partita_webhooks::sending::EgressPolicy::default());
    let own = cli(&["--webhook-ports", "443,8443", "--webhook-networks", "127.0.0.0/8,10.0.0.0/8"]).egress.policy();
    for (url, strictly, openly) in [
        ("https://shop.example/", true, true),
        ("https://shop.example:8443/", false, true),
        ("http://10.1.2.3:9000/", false, true),
        ("http://192.168.1.1/", false, false),
    ] {
        assert_eq!(Destination::parse(url, &strict).is_ok(), strictly, "{url}");
        assert_eq!(Destination::parse(url, &own).is_ok(), openly, "{url}");
    }
}

#[test]
fn a_pepper_is_needed_and_must_be_long() {
    let missing = cli(&[]).pepper.secret().expect_err("none");
    assert!(missing.to_string().contains("openssl rand -hex 32"), "{missing}");
    for bad in ["", "   ", "short", &"a".repeat(64)] {
        let error = cli(&["--pepper", bad]).pepper.secret().expect_err("too weak");
        assert!(error.to_string().starts_with("PARTITA_PEPPER"), "{error}");
    }
    assert_eq!(cli(&["--pepper", PEPPER]).pepper.secret().expect("long").expose_secret(), PEPPER);
}

#[test]
fn a_secret_comes_from_one_place() {
    let file = file_with(&format!("{PEPPER}\n"));
    let path = file.path().to_str().expect("UTF-8");
    let args = cli(&["--pepper-file", path]).pepper;
    assert_eq!(args.secret().expect("from the file").expose_secret(), PEPPER);
    let both = cli(&["--pepper", PEPPER, "--pepper-file", path]).pepper.secret().expect_err("both");
    assert!(matches!(both, ConfigError::Twice { .. }));
    let absent = cli(&["--pepper-file", "/nowhere/pepper"]).pepper.secret().expect_err("no file");
    assert!(matches!(absent, ConfigError::File { source: SecretRefError::Unreadable { .. }, .. }));
}

#[test]
fn references_to_secrets_are_followed() {
    let file = file_with("  sk_test_123 \n");
    let reference = format!("file:{}", file.path().display());
    assert_eq!(resolve_secret(&reference).expect("a file").expose_secret(), "sk_test_123");
    assert!(resolve_secret("env:PATH").is_ok());
    assert!(matches!(resolve_secret("env:PARTITA_NO_SUCH_VARIABLE"), Err(SecretRefError::NotSet(_))));
    let blank = file_with(" \n");
    let reference = format!("file:{}", blank.path().display());
    assert!(matches!(resolve_secret(&reference), Err(SecretRefError::Empty(_))));
    for bad in ["", "sk_test_123", "env:", "file:", "vault:x"] {
        let error = resolve_secret(bad).expect_err("no reference");
        assert!(matches!(error, SecretRefError::BadForm) && !error.to_string().contains("sk_test"));
    }
}

#[test]
fn secrets_are_neither_printed_nor_debugged() {
    let url = "postgres://app:hunter2@db/partita";
    let cli = cli(&["--database-url", url, "--owner-url", url, "--pepper", PEPPER, "--encryption-key", KEY]);
    let printed = format!("{:?}", printed(&cli));
    let debugged = format!("{:?} {:?} {:?} {:?}", cli.database, cli.owner, cli.pepper, cli.encryption);
    for text in [&printed, &debugged] {
        assert!(!text.contains("hunter2") && !text.contains(PEPPER) && !text.contains(KEY), "{text}");
    }
    let wrong = cli_database("mysql://root:hunter2@db").settings().expect_err("no Postgres");
    assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("--pepper-file") && help.contains("[default: 127.0.0.1:8080]"), "{help}");
    assert!(!help.contains("--pepper <"), "{help}");
}

fn cli_database(url: &str) -> DatabaseArgs {
    cli(&["--database-url", url]).database
}

#[test]
fn print_names_every_variable() {
    let all = cli(&[]);
    let printed = printed(&all);
    let command = Cli::command();
    let variables: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()).collect();
    assert_eq!(printed.len(), variables.len());
    for variable in variables {
        assert!(printed.iter().any(|setting| setting.name == variable), "{variable:?}");
    }
}

#[test]
fn the_public_address_is_an_origin() {
    assert!(cli(&["--public-url", "https://pay.market.example"]).http.settings().is_ok());
    for bad in ["ftp://x", "https://market.example/pay", "https://u:p@market.example", "https://market.example/?a"] {
        assert!(cli(&["--public-url", bad]).http.settings().is_err(), "{bad}");
    }
}

#[test]
fn rates_of_zero_are_no_limit() {
    let rates = cli(&["--key-rate", "0"]).http.settings().expect("valid").rates;
    assert_eq!(rates.per_key, None);
    assert_eq!(rates.per_address.map(|rate| rate.burst.get()), Some(600));
}

#[test]
fn networks_hold_their_addresses() {
    let network = |text: &str| text.parse::<Network>().expect("a network");
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert!(network("10.0.0.0/8").contains(ip("10.255.0.1")));
    assert!(!network("10.0.0.0/8").contains(ip("11.0.0.1")));
    assert!(network("0.0.0.0/0").contains(ip("203.0.113.9")));
    assert!(!network("0.0.0.0/0").contains(ip("::1")));
    assert!(network("::/0").contains(ip("2001:db8::1")));
    assert!(network("2001:db8::/32").contains(ip("2001:db8:ffff::1")));
    assert!(!network("::1").contains(ip("::2")));
    for bad in ["10.0.0.0/33", "10.0.0", "::/129", "", "10.0.0.0/", "host/8"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}
