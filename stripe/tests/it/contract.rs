//! What the adapter sends, against `contract/stripe.json`: the parameter types of Stripe's official SDK.
//!
//! Requests are taken from the wire, where a recording server has seen them, and checked parameter by parameter,
//! nested ones too. The file says how it is made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use partita_provider::{CaptureMethod, Command, EventQuery, PageRequest, PrepareError, Provider as _, Search};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{Fake, Reply, Seen, adapter, commands, error, euros, every_evidence, example, lookups, payment};

/// A form or query, unfolded: `a[b]=c` is a map within a map.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(String),
    Branch(BTreeMap<String, Tree>),
}

impl Tree {
    fn unfold(form: &str) -> Result<Self, String> {
        let mut root = Self::Branch(BTreeMap::new());
        for (name, value) in form_urlencoded::parse(form.as_bytes()) {
            let keys: Vec<&str> = name.split('[').map(|key| key.trim_end_matches(']')).collect();
            root.insert(&keys, value.into_owned()).map_err(|()| format!("{name} is both a value and a map"))?;
        }
        Ok(root)
    }

    fn insert(&mut self, keys: &[&str], value: String) -> Result<(), ()> {
        let Self::Branch(children) = self else { return Err(()) };
        match keys {
            [] => Err(()),
            [last] => children.insert((*last).to_owned(), Self::Leaf(value)).map_or(Ok(()), |_| Err(())),
            [first, rest @ ..] => {
                let child = children.entry((*first).to_owned()).or_insert_with(|| Self::Branch(BTreeMap::new()));
                child.insert(rest, value)
            }
        }
    }
}

/// The committed contract.
struct Contract(Value);

impl Contract {
    fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../../contract/stripe.json")).expect("the contract is JSON"))
    }

    fn requests(&self) -> impl Iterator<Item = &Value> {
        self.0["requests"].as_array().expect("a list of requests").iter()
    }

    /// The contract's name for a request: method and path template.
    fn name(request: &Value) -> String {
        format!("{} {}", request["method"].as_str().expect("a method"), request["path"].as_str().expect("a path"))
    }

    /// Checks one request; gives the contract's name for it.
    fn check(&self, method: &str, path: &str, form: &str) -> Result<String, String> {
        let request = self
            .requests()
            .find(|request| request["method"] == method && fits(request["path"].as_str().unwrap_or(""), path))
            .ok_or_else(|| format!("Stripe has no {method} {path}"))?;
        let schema = &request["parameters"];
        validate(schema, &schema["$defs"], &Tree::unfold(form)?, "")?;
        Ok(Self::name(request))
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(t, p)| if *t == "{id}" { p.contains('_') } else { *t == p })
}

/// The part of JSON Schema that the contract uses, over values that are all text.
fn validate(schema: &Value, definitions: &Value, tree: &Tree, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().expect("split gives one part at least");
        return validate(&definitions[name], definitions, tree, at);
    }
    if let Some(branches) = schema["anyOf"].as_array() {
        let tried: Vec<_> = branches.iter().map(|branch| validate(branch, definitions, tree, at)).collect();
        return if tried.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{at}: {tried:?}")) };
    }
    match (schema["type"].as_str(), tree) {
        (Some("object"), Tree::Branch(children)) => validate_object(schema, definitions, children, at),
        (Some("array"), Tree::Branch(children)) => {
            for (index, (key, child)) in children.iter().enumerate() {
                if *key != index.to_string() {
                    return Err(format!("{at}: member {key} of a list"));
                }
                validate(&schema["items"], definitions, child, &format!("{at}[{key}]"))?;
            }
            Ok(())
        }
        (Some("integer"), Tree::Leaf(text)) if text.parse::<i64>().is_ok() => Ok(()),
        (Some("number"), Tree::Leaf(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(()),
        (Some("boolean"), Tree::Leaf(text)) if matches!(text.as_str(), "true" | "false") => Ok(()),
        (Some("string") | None, Tree::Leaf(text)) => {
            let words =
                schema["enum"].as_array().cloned().or_else(|| schema.get("const").map(|word| vec![word.clone()]));
            match words {
                Some(words) if !words.iter().any(|word| word == text) => {
                    Err(format!("{at}: {text:?} not in {words:?}"))
                }
                None if schema["type"].is_null() => Err(format!("{at}: the contract has a schema we cannot read")),
                _ => Ok(()),
            }
        }
        (kind, tree) => Err(format!("{at}: {tree:?} is no {kind:?}")),
    }
}

fn validate_object(
    schema: &Value,
    definitions: &Value,
    children: &BTreeMap<String, Tree>,
    at: &str,
) -> Result<(), String> {
    for (name, child) in children {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(property), _) => validate(property, definitions, child, &at)?,
            (None, free) if free.is_object() => validate(free, definitions, child, &at)?,
            _ => return Err(format!("{at}: Stripe has no such parameter")),
        }
    }
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let missing = required.iter().filter_map(Value::as_str).find(|name| !children.contains_key(*name));
    missing.map_or(Ok(()), |name| Err(format!("{at}.{name} is required")))
}

/// Everything that the adapter can send, as it goes over the wire.
async fn everything() -> Vec<Seen> {
    let fake = Fake::start(|seen| match seen.path.as_str() {
        "/v1/charges/ch_1" => Reply::json(200, &[], &example("charge", json!({"payment_intent": "pi_1"}))),
        path if seen.method == "GET" && seen.query.contains("limit=") && !path.contains("balance") => {
            Reply::json(200, &[], &json!({"object": "list", "data": [], "has_more": false}))
        }
        _ => Reply::json(404, &[], &error("invalid_request_error", &json!("resource_missing"), json!({}))),
    })
    .await;
    let stripe = adapter(&fake.address, Duration::from_secs(20));
    for command in commands() {
        let request = stripe.prepare(&command).expect("a lawful command");
        stripe.submit(&request, "op_1.1").await;
    }
    // The answers do not matter: what was asked does.
    for lookup in lookups() {
        let _ = stripe.fetch(&lookup).await;
    }
    let page = PageRequest { after: Some("txn_0".into()), created_from: Some(1_700_000_000), limit: 100 };
    let _ = stripe.balance_transactions(Some("acct_1"), &page).await;
    let _ = stripe.balance_transaction(Some("acct_1"), "txn_1").await;
    let _ = stripe.balance(Some("acct_1")).await;
    for command in commands() {
        let (sent_from, sent_until) = (1_700_000_000, Some(1_700_000_100));
        let search = Search { command, marker: "op_id".into(), sent_from, sent_until };
        let _ = stripe.look_up(&search).await;
    }
    let query = EventQuery {
        account: Some("acct_1".into()),
        kinds: vec!["payout.paid".into(), "account.updated".into()],
        created_from: Some(1_700_000_000),
        created_until: Some(1_700_000_100),
        after: Some("evt_0".into()),
        limit: 100,
    };
    let _ = stripe.events(&query).await;
    fake.seen()
}

fn form(seen: &Seen) -> &str {
    if seen.method == "GET" { &seen.query } else { &seen.body }
}

#[tokio::test]
async fn every_request_is_one_that_stripe_takes_and_every_request_of_the_contract_is_made() {
    let contract = Contract::load();
    let mut made = BTreeSet::new();
    for seen in everything().await {
        let name = contract.check(&seen.method, &seen.path, form(&seen));
        made.insert(name.unwrap_or_else(|why| panic!("{} {}: {why}", seen.method, seen.path)));
        assert!(seen.method == "POST" || seen.body.is_empty(), "a read has no body");
    }
    assert_eq!(made, contract.requests().map(Contract::name).collect());
}

#[test]
fn the_contract_speaks_the_version_that_the_adapter_speaks() {
    assert_eq!(Contract::load().0["about"]["api_version"], partita_stripe::API_VERSION);
    assert_eq!(stripe_shared::version::VERSION.as_str(), partita_stripe::API_VERSION);
}

#[tokio::test]
async fn the_check_would_catch_each_kind_of_mistake() {
    let contract = Contract::load();
    let all = everything().await;
    let body =
        |path: &str| all.iter().find(|seen| seen.method == "POST" && seen.path == path).expect("sent").body.clone();
    let (payment, account) = (body("/v1/payment_intents"), body("/v1/accounts"));
    let spoilt = |form: &str, right: &str, wrong: &str| {
        assert!(form.contains(right), "{right} not in {form}");
        form.replace(right, wrong)
    };
    let intents = "/v1/payment_intents";
    for (path, form, catches) in [
        (intents, spoilt(&payment, "enabled", "enabeld"), "misspelt, nested"),
        (intents, spoilt(&payment, "transfer_group", "transfergroup"), "misspelt"),
        (intents, spoilt(&payment, "=always", "=sometimes"), "no such word"),
        (intents, spoilt(&payment, "amount=12345", "amount=123.45"), "no integer"),
        (intents, spoilt(&payment, "confirm=true", "confirm=yes"), "no boolean"),
        (intents, spoilt(&payment, "amount=12345&", ""), "required"),
        (intents, payment.clone() + "&metadata[a][b]=c", "too deep"),
        (intents, payment.clone() + "&description[x]=c", "a map for a text"),
        (intents, payment.clone() + "&stripe_account=acct_1", "an option of the client"),
        ("/v1/accounts", spoilt(&account, "interval", "intervall"), "misspelt, three deep"),
        ("/v1/accounts", spoilt(&account, "=manual", "=fortnightly"), "no such word, three deep"),
        ("/v1/payment_intent", payment.clone(), "no such path"),
    ] {
        assert!(contract.check("POST", path, &form).is_err(), "not caught: {catches}");
    }
    assert!(contract.check("PUT", intents, &payment).is_err(), "not caught: the method");
    assert!(contract.check("GET", "/v1/balance_transactions", "created[since]=1").is_err());
    assert!(contract.check("GET", "/v1/balance_transactions", "limit=ten").is_err());
    assert!(contract.check("POST", intents, &payment).is_ok(), "and nothing else is");
}

/// Without an address to come back to no redirect is followed, and what is not held is captured at once.
#[test]
fn a_payment_says_when_it_is_captured_and_whether_its_buyer_can_be_sent_away() {
    let stripe = adapter("http://127.0.0.1:1", Duration::from_secs(20));
    let Command::CreatePayment(mut command) = payment() else { panic!("a payment") };
    (command.capture, command.return_url) = (CaptureMethod::Automatic, None);
    let body = stripe.prepare(&Command::CreatePayment(command)).expect("lawful").body;
    for said in ["[allow_redirects]=never", "capture_method=automatic"] {
        assert!(body.contains(said), "{said} not in {body}");
    }
    assert!(!body.contains("return_url"));
}

/// The forms themselves, so that a parameter cannot silently disappear.
#[test]
fn each_command_says_exactly_this() {
    let stripe = adapter("http://127.0.0.1:1", Duration::from_secs(20));
    let metadata = "metadata[op_id]=op_id & more; metadata[payment]=payment & more; metadata[seller]=seller & more";
    let expansions = "expand[0]=latest_charge.balance_transaction; expand[1]=latest_charge.failure_balance_transaction; \
          expand[2]=latest_charge.refunds.data.balance_transaction; expand[3]=latest_charge.transfer.balance_transaction; \
          expand[4]=latest_charge.transfer.destination_payment.balance_transaction";
    let expected = [
        (
            "/v1/accounts",
            "business_type=company; capabilities[card_payments][requested]=true; \
          capabilities[transfers][requested]=true; controller[fees][payer]=application; \
          controller[losses][payments]=application; controller[requirement_collection]=stripe; \
          controller[stripe_dashboard][type]=express; country=DE; default_currency=eur; email=seller@example.com; \
          $M; settings[payouts][schedule][interval]=manual",
        ),
        (
            "/v1/account_links",
            "account=acct_1; refresh_url=https://example.com/again; \
          return_url=https://example.com/back?a=1&b=2; type=account_onboarding",
        ),
        (
            "/v1/payment_intents",
            "amount=12345; automatic_payment_methods[allow_redirects]=always; \
          application_fee_amount=1000; automatic_payment_methods[enabled]=true; capture_method=manual; confirm=true; currency=eur; customer=cus_1; description=Order 7; \
          $X; $M; off_session=true; on_behalf_of=acct_1; payment_method=pm_card_visa; return_url=https://example.com/back; \
          transfer_data[amount]=10000; transfer_data[destination]=acct_1; transfer_group=pay_1",
        ),
        ("/v1/payment_intents/pi_1/cancel", "$X"),
        ("/v1/payment_intents/pi_1/capture", "amount_to_capture=9999; $X; transfer_data[amount]=8000"),
        (
            "/v1/transfers",
            "amount=700; currency=eur; destination=acct_1; expand[0]=balance_transaction; \
          expand[1]=destination_payment.balance_transaction; $M; source_transaction=ch_1; transfer_group=pay_1",
        ),
        (
            "/v1/transfers/tr_1/reversals",
            "amount=200; expand[0]=balance_transaction; \
          expand[1]=destination_payment_refund.balance_transaction; $M",
        ),
        (
            "/v1/refunds",
            "amount=300; expand[0]=balance_transaction; expand[1]=failure_balance_transaction; $M; payment_intent=pi_1; \
          refund_application_fee=true",
        ),
        ("/v1/topups", "amount=50000; currency=eur; description=Float; expand[0]=balance_transaction; $M"),
        ("/v1/accounts/acct_1", "settings[payouts][schedule][interval]=manual"),
        (
            "/v1/payouts",
            "amount=5400; currency=eur; destination=ba_1; expand[0]=balance_transaction; \
          expand[1]=failure_balance_transaction; $M; method=instant",
        ),
        ("/v1/disputes/du_1", "$E; $M; submit=true"),
        ("/v1/disputes/du_1/close", ""),
        ("/v1/customers", "$M"),
        (
            "/v1/setup_intents",
            "automatic_payment_methods[allow_redirects]=always; automatic_payment_methods[enabled]=true; confirm=true; \
          customer=cus_1; expand[0]=payment_method; $M; payment_method=pm_1; return_url=https://example.com/back; \
          usage=off_session",
        ),
        ("/v1/payment_methods/pm_1/detach", ""),
        ("/v1/payment_intents/pi_1/cancel", "$X"),
    ];
    let evidence: Vec<String> = every_evidence()
        .into_keys()
        .map(|kind| {
            format!("evidence[{}]=x & y", serde_json::to_value(kind).expect("a word").as_str().expect("a word"))
        })
        .collect();
    let commands = commands();
    assert_eq!(commands.iter().map(Command::name).collect::<BTreeSet<_>>().len(), 16, "every command");
    assert_eq!(commands.len(), expected.len());
    for (command, (path, form)) in commands.iter().zip(expected) {
        let request = stripe.prepare(command).expect("a lawful command");
        // A payout is the seller's own: it is asked on its account.
        let is_on_account = path == "/v1/payouts" || matches!(command, Command::OnAccount(_));
        let account = is_on_account.then_some("acct_1");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
        assert_eq!(request.account.as_deref(), account, "{path}");
        let pairs = form_urlencoded::parse(request.body.as_bytes()).map(|(name, value)| format!("{name}={value}"));
        let said: BTreeSet<String> = pairs.collect();
        let wanted: BTreeSet<String> = form
            .replace("$M", metadata)
            .replace("$X", expansions)
            .replace("$E", &evidence.join("; "))
            .split("; ")
            .filter(|pair| !pair.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(said, wanted, "{path}");
    }
}

#[test]
fn one_command_always_makes_the_same_bytes() {
    let stripe = adapter("http://127.0.0.1:1", Duration::from_secs(20));
    for command in commands() {
        let first = stripe.prepare(&command).expect("a lawful command");
        // A hash map of three keys keeps its order through twenty rebuilds once in ten to the fourteenth.
        for _ in 0..20 {
            assert_eq!(stripe.prepare(&command).as_ref(), Ok(&first));
        }
    }
}

#[test]
fn what_stripe_would_not_take_is_refused_before_anything_is_stored() {
    let stripe = adapter("http://127.0.0.1:1", Duration::from_secs(20));
    for cents in [0, -1, 100_000_000] {
        let Command::CreatePayment(mut command) = payment() else { panic!("a payment") };
        command.amount = euros(cents);
        let refused = stripe.prepare(&Command::CreatePayment(command));
        assert!(matches!(refused, Err(PrepareError::Amount(_))), "{cents}");
    }
    for command in commands() {
        let spoilt = match command {
            Command::CreateAccount(mut c) => {
                c.country = "de".into();
                Command::CreateAccount(c)
            }
            Command::CancelPayment(mut c) => {
                c.payment = "pi_1/../../accounts".into();
                Command::CancelPayment(c)
            }
            Command::CreateReversal(mut c) => {
                c.transfer = String::new();
                Command::CreateReversal(c)
            }
            _ => continue,
        };
        assert!(matches!(stripe.prepare(&spoilt), Err(PrepareError::Unsupported(_))), "{spoilt:?}");
    }
    let Some(Command::CreateAccount(mut account)) = commands().into_iter().next() else { panic!("an account") };
    account.business_type = Some("cooperative".into());
    assert!(stripe.prepare(&Command::CreateAccount(account)).is_err());
}
