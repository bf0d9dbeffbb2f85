//! Cursor lists.

use crate::support::{START, Sim};

fn ids(body: &serde_json::Value) -> Vec<String> {
    let rows = body["data"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row["id"].as_str().map(ToOwned::to_owned)).collect()
}

#[tokio::test]
async fn pages_join_without_gaps_in_both_directions() {
    let sim = Sim::start().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.insert(0, sim.fund("100").await);
        sim.control.advance(1).await.expect("time passes");
    }
    let first = sim.get("/v1/topups?limit=3").await.ok().body;
    assert_eq!(
        (&first["object"], &first["url"], &first["has_more"]),
        (&"list".into(), &"/v1/topups".into(), &true.into())
    );
    assert_eq!(ids(&first), made[..3]);
    let second = sim.get(&format!("/v1/topups?limit=3&starting_after={}", made[2])).await.ok().body;
    assert_eq!((ids(&second), &second["has_more"]), (made[3..6].to_vec(), &true.into()));
    let last = sim.get(&format!("/v1/topups?limit=3&starting_after={}", made[5])).await.ok().body;
    assert_eq!((ids(&last), &last["has_more"]), (made[6..].to_vec(), &false.into()));
    let back = sim.get(&format!("/v1/topups?limit=3&ending_before={}", made[5])).await.ok().body;
    assert_eq!((ids(&back), &back["has_more"]), (made[2..5].to_vec(), &true.into()));
    let start = sim.get(&format!("/v1/topups?limit=3&ending_before={}", made[2])).await.ok().body;
    assert_eq!((ids(&start), &start["has_more"]), (made[..2].to_vec(), &false.into()));
    let range = format!("/v1/topups?created[gte]={}&created[lt]={}", START + 2, START + 5);
    assert_eq!(ids(&sim.get(&range).await.ok().body), made[2..5]);
    let range = format!("/v1/topups?created[gt]={}&created[lte]={}", START + 2, START + 5);
    assert_eq!(ids(&sim.get(&range).await.ok().body), made[1..4]);
    sim.finish().await;
}

#[tokio::test]
async fn balance_transactions_filter_and_expand() {
    let sim = Sim::start().await;
    sim.fund("20000").await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let refund = sim.refund(payment.id(), "3000").await.ok();
    let by_type = sim.get("/v1/balance_transactions?type=refund&expand[]=data.source.charge").await.ok().body;
    assert_eq!(by_type["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(by_type["data"][0]["source"]["id"], refund.body["id"]);
    assert_eq!(by_type["data"][0]["source"]["charge"]["id"], payment.body["latest_charge"]["id"]);
    let by_source = sim.get(&format!("/v1/balance_transactions?source={}", refund.id())).await.ok().body;
    assert_eq!(ids(&by_source), ids(&by_type));
    let by_currency = sim.get("/v1/balance_transactions?currency=usd").await.ok().body;
    assert!(ids(&by_currency).is_empty());
    let first = sim.get("/v1/balance_transactions?limit=1").await.ok().body;
    let cursor = ids(&first)[0].clone();
    let rest = sim.get(&format!("/v1/balance_transactions?limit=100&starting_after={cursor}")).await.ok().body;
    assert_eq!((ids(&rest).len(), &rest["has_more"]), (2, &false.into()));
    sim.finish().await;
}

#[tokio::test]
async fn bad_pages_are_refused() {
    let sim = Sim::start().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("starting_after=tu_nobody", "starting_after"),
        ("created=yesterday", "created"),
        ("created[around]=1", "created[around]"),
    ] {
        let reply = sim.get(&format!("/v1/topups?{query}")).await;
        assert_eq!((reply.status, reply.error().3), (400, param), "{query}");
    }
    let both = sim.get("/v1/topups?starting_after=a&ending_before=b").await;
    assert_eq!(both.status, 400);
    sim.finish().await;
}

#[tokio::test]
async fn search_finds_by_metadata_what_the_index_has_caught_up_with() {
    let sim = Sim::start().await;
    let mut made = Vec::new();
    for operation in ["op_1", "op_2", "op_1", "op_1"] {
        let form = [("amount", "1200"), ("currency", "eur"), ("metadata[op_id]", operation)];
        made.insert(0, sim.post("/v1/payment_intents", &form).await.ok().id().to_owned());
        sim.control.advance(1).await.expect("time passes");
    }
    let search = |more: &str| format!("/v1/payment_intents/search?query=metadata['op_id']:'op_1'{more}");
    assert_eq!(ids(&sim.get(&search("")).await.ok().body), Vec::<String>::new(), "the index lags");
    sim.control.advance(57).await.expect("time passes");
    assert_eq!(ids(&sim.get(&search("")).await.ok().body), [made[3].clone()]);
    sim.control.advance(60).await.expect("time passes");
    let first = sim.get(&search("&limit=2")).await.ok().body;
    assert_eq!((&first["object"], &first["has_more"]), (&"search_result".into(), &true.into()));
    assert_eq!(ids(&first), [made[0].clone(), made[1].clone()]);
    let next = first["next_page"].as_str().expect("a page follows");
    let second = sim.get(&search(&format!("&limit=2&page={next}"))).await.ok().body;
    assert_eq!((ids(&second), &second["next_page"]), (vec![made[3].clone()], &serde_json::Value::Null));
    let narrower = search(&format!(" AND created>={} AND status:'requires_payment_method'", START + 3));
    assert_eq!(ids(&sim.get(&narrower).await.ok().body), [made[0].clone()]);
    let refused = sim.get("/v1/payment_intents/search?query=colour:'red'").await;
    assert_eq!(refused.error(), (400, "invalid_request_error", "", "query"));
    sim.finish().await;
}
