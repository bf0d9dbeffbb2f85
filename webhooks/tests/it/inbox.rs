//! The inbox on a real Postgres, as the application's role.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use crate::support::{
    LEASE, TestDb, apply_batch, at, book, claim_books, constraint, event, key, number, run_sql, settle, sql_state,
    store,
};
use partita_db::Scope;
use partita_webhooks::inbox::{self, InboxError, InboxKey, InboxState, Stored};

const ONE: i32 = 1;

static KEY: LazyLock<InboxKey> = LazyLock::new(|| key("evt_1"));

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_fifty_times_at_once_is_stored_once() {
    let test = TestDb::create().await;
    let deliveries = (0..50).map(|_| {
        let db = test.db.clone();
        tokio::spawn(async move { store(&db, book(ONE), &event("evt_1"), at(0)).await })
    });
    let mut new = 0;
    for delivery in deliveries.collect::<Vec<_>>() {
        new += usize::from(delivery.await.expect("no panic") == Stored::New);
    }
    assert_eq!(new, 1);
    assert_eq!(number(&test.db, Scope::Book(book(ONE)), "select count(*) from inbox_events").await, 1);
    assert_eq!(claim_books(&test.db, at(0), LEASE).await, [book(ONE)]);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_find_a_book_idle_together_do_not_queue_up() {
    let test = TestDb::create().await;
    let storing = |id| test.hold(ONE, move |tx| Box::pin(async move { inbox::store(tx, &event(id), at(0)).await }));
    let first = storing("evt_1").await;
    // Both wait for the first, which made the book due; then each gets to its end while the other is still open.
    let (second, third, ()) = tokio::join!(storing("evt_2"), storing("evt_3"), async {
        test.until_sessions_wait_for_a_lock(2).await;
        first.release().await;
    });
    second.release().await;
    third.release().await;
    assert_eq!(apply_batch(&test.db, book(ONE), at(0)).await, ["evt_1", "evt_2", "evt_3"]);
    test.close().await;
}

#[tokio::test]
async fn the_same_id_of_another_book_account_or_provider_is_another_event() {
    let test = TestDb::create().await;
    let mut of_account = event("evt_1");
    of_account.key.account = "acct_1".into();
    let mut of_provider = event("evt_1");
    of_provider.key.provider = "other".into();
    for (number, new) in [(1, event("evt_1")), (1, of_account), (1, of_provider), (2, event("evt_1"))] {
        assert_eq!(store(&test.db, book(number), &new, at(0)).await, Stored::New);
        assert_eq!(store(&test.db, book(number), &new, at(0)).await, Stored::Duplicate);
    }
    assert_eq!(claim_books(&test.db, at(0), LEASE).await.len(), 2);
    test.close().await;
}

#[tokio::test]
async fn the_body_is_kept_byte_for_byte_except_card_numbers() {
    let test = TestDb::create().await;
    let raw = b"{\"id\": \"evt_1\",\r\n \"note\": \"\\u00e4 \xff\"}".to_vec();
    let mut plain = event("evt_1");
    plain.raw = raw.clone();
    let mut with_card = event("evt_2");
    with_card.raw = br#"{"description":"card 4242 4242 4242 4242"}"#.to_vec();
    store(&test.db, book(ONE), &plain, at(0)).await;
    store(&test.db, book(ONE), &with_card, at(0)).await;
    let events = test
        .db
        .run_tx("claim", Scope::Book(book(ONE)), |tx| Box::pin(inbox::claim_due(tx, 10, at(0))))
        .await
        .expect("claiming works");
    assert_eq!(events[0].raw, raw);
    assert_eq!(events[1].raw, br#"{"description":"card **** **** **** 4242"}"#);
    let masked = "select count(*) from inbox_events where masked and event_id = 'evt_2'";
    assert_eq!(number(&test.db, Scope::Book(book(ONE)), masked).await, 1);
    test.close().await;
}

#[tokio::test]
async fn events_are_given_when_they_are_due_the_longest_waiting_first() {
    let test = TestDb::create().await;
    for (id, received, created) in [("evt_c", 2, -9), ("evt_b", 1, -1), ("evt_a", 1, -5), ("evt_later", 60, -9)] {
        let mut new = event(id);
        new.created_at = at(created);
        store(&test.db, book(ONE), &new, at(received)).await;
    }
    assert_eq!(apply_batch(&test.db, book(ONE), at(0)).await, Vec::<String>::new());
    assert_eq!(apply_batch(&test.db, book(ONE), at(10)).await, ["evt_a", "evt_b", "evt_c"]);
    assert_eq!(settle(&test.db, book(ONE)).await, Some(at(60)));
    assert_eq!(claim_books(&test.db, at(59), LEASE).await, []);
    assert_eq!(claim_books(&test.db, at(60), LEASE).await, [book(ONE)]);
    assert_eq!(apply_batch(&test.db, book(ONE), at(60)).await, ["evt_later"]);
    assert_eq!(settle(&test.db, book(ONE)).await, None);
    assert_eq!(number(&test.db, Scope::Routing, "select count(*) from due").await, 0);
    test.close().await;
}

#[tokio::test]
async fn an_event_is_marked_once() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    assert_eq!(apply_batch(&test.db, book(ONE), at(0)).await, ["evt_1"]);
    let again = test
        .db
        .run_tx("mark", Scope::Book(book(ONE)), |tx| {
            Box::pin(async move { inbox::mark_applied(tx, &[key("evt_1")], at(1)).await })
        })
        .await;
    assert!(matches!(again, Err(InboxError::NotOpen { asked: 1, changed: 0, .. })), "{again:?}");
    assert_eq!(store(&test.db, book(ONE), &event("evt_1"), at(2)).await, Stored::Duplicate);
    assert_eq!(apply_batch(&test.db, book(ONE), at(9)).await, Vec::<String>::new());
    test.close().await;
}

#[tokio::test]
async fn parked_ignored_and_quarantined_events_stay_and_are_counted() {
    let test = TestDb::create().await;
    for id in ["evt_parked", "evt_ignored", "evt_bad", "evt_new"] {
        store(&test.db, book(ONE), &event(id), at(0)).await;
    }
    test.in_book(ONE, |tx| {
        Box::pin(async move {
            inbox::park(tx, &key("evt_parked"), at(60), "object unknown").await?;
            inbox::ignore(tx, &[key("evt_ignored")]).await?;
            inbox::quarantine(tx, &key("evt_bad"), &"x".repeat(2_000)).await
        })
    })
    .await;
    let counts = test.in_book(ONE, |tx| Box::pin(inbox::counts(tx))).await;
    let states: Vec<_> = counts.iter().map(|count| (count.state.as_str(), count.events)).collect();
    assert_eq!(states, [("ignored", 1), ("parked", 1), ("quarantined", 1), ("received", 1)]);
    assert_eq!(apply_batch(&test.db, book(ONE), at(59)).await, ["evt_new"]);
    assert_eq!(settle(&test.db, book(ONE)).await, Some(at(60)));

    test.in_book(ONE, |tx| {
        Box::pin(async move {
            inbox::reopen(tx, &key("evt_ignored"), at(61)).await?;
            inbox::reopen(tx, &key("evt_bad"), at(61)).await
        })
    })
    .await;
    assert_eq!(apply_batch(&test.db, book(ONE), at(61)).await, ["evt_parked", "evt_bad", "evt_ignored"]);
    assert_eq!(settle(&test.db, book(ONE)).await, None);
    test.close().await;
}

#[tokio::test]
async fn reopening_wakes_a_settled_book() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    test.in_book(ONE, |tx| Box::pin(async move { inbox::ignore(tx, &[key("evt_1")]).await })).await;
    assert_eq!(settle(&test.db, book(ONE)).await, None);
    test.in_book(ONE, |tx| Box::pin(async move { inbox::reopen(tx, &key("evt_1"), at(5)).await })).await;
    assert_eq!(claim_books(&test.db, at(5), LEASE).await, [book(ONE)]);
    test.close().await;
}

#[tokio::test]
async fn a_list_shows_every_event_once_page_by_page() {
    let test = TestDb::create().await;
    for number in 0..7 {
        store(&test.db, book(ONE), &event(&format!("evt_{number}")), at(0)).await;
    }
    test.in_book(ONE, |tx| Box::pin(async move { inbox::park(tx, &key("evt_3"), at(60), "why").await })).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = test
            .in_book(ONE, move |tx| {
                let cursor = cursor.clone();
                Box::pin(async move { inbox::list(tx, None, cursor.as_ref(), 3).await })
            })
            .await;
        let Some(last) = page.last() else { break };
        cursor = Some(last.cursor());
        seen.extend(page.iter().map(|summary| summary.key.event_id.clone()));
    }
    assert_eq!(seen, ["evt_6", "evt_5", "evt_4", "evt_3", "evt_2", "evt_1", "evt_0"]);
    let parked = test
        .in_book(ONE, |tx| Box::pin(async move { inbox::list(tx, Some(InboxState::Parked), None, 10).await }))
        .await;
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].attempts, parked[0].last_error.as_deref()), (1, Some("why")));
    test.close().await;
}

#[tokio::test]
async fn since_when_an_object_is_absent_stands_until_it_is_shown_or_somebody_asks_again() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    let since = |now| {
        let test = &test;
        async move {
            let claimed = test.in_book(ONE, move |tx| Box::pin(inbox::claim_one(tx, &KEY, at(now)))).await;
            let event = claimed.expect("it is due");
            (event.attempts, event.reads, event.absent_since)
        }
    };
    test.in_book(ONE, |tx| Box::pin(inbox::park_absent(tx, &KEY, at(10), at(0), "none"))).await;
    assert_eq!(since(10).await, (1, 0, Some(at(0))));
    test.in_book(ONE, |tx| Box::pin(inbox::park_absent(tx, &KEY, at(20), at(10), "none"))).await;
    test.in_book(ONE, |tx| Box::pin(inbox::park(tx, &KEY, at(30), "an outage"))).await;
    assert_eq!(since(30).await, (3, 0, Some(at(0))), "for the first time then, and nobody has shown it since");
    test.in_book(ONE, |tx| Box::pin(inbox::park_read(tx, &KEY, at(40), "not complete"))).await;
    assert_eq!(since(40).await, (4, 1, None));
    test.in_book(ONE, |tx| Box::pin(inbox::park_absent(tx, &KEY, at(50), at(40), "none"))).await;
    test.in_book(ONE, |tx| Box::pin(inbox::quarantine(tx, &KEY, "none"))).await;
    test.in_book(ONE, |tx| Box::pin(inbox::reopen(tx, &KEY, at(60)))).await;
    assert_eq!(since(60).await, (0, 0, None));
    test.close().await;
}

#[tokio::test]
async fn a_leased_book_is_free_again_when_the_lease_has_run_out() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    assert_eq!(claim_books(&test.db, at(0), Duration::ZERO).await, [book(ONE)]);
    assert_eq!(claim_books(&test.db, at(0), LEASE).await, [book(ONE)]);
    assert_eq!(claim_books(&test.db, at(0), LEASE).await, []);
    // A turn that ends with work left frees the book at once.
    assert_eq!(settle(&test.db, book(ONE)).await, Some(at(0)));
    assert_eq!(claim_books(&test.db, at(0), LEASE).await, [book(ONE)]);
    test.close().await;
}

/// The race described in `inbox/mod.rs`: the store relies on the row that the worker is about to take away.
#[tokio::test(flavor = "multi_thread")]
async fn settling_waits_for_a_store_that_relies_on_the_row() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    assert_eq!(apply_batch(&test.db, book(ONE), at(0)).await, ["evt_1"]);

    // Stored, not committed: it saw the book as due and wrote nothing about it.
    let storing = test.hold(ONE, |tx| Box::pin(async move { inbox::store(tx, &event("evt_2"), at(1)).await })).await;
    let db = test.db.clone();
    let settling = tokio::spawn(async move { settle(&db, book(ONE)).await });
    test.until_sessions_wait_for_a_lock(1).await;
    assert!(!settling.is_finished());
    storing.release().await;
    assert_eq!(settling.await.expect("no panic"), Some(at(1)), "the event was forgotten");
    assert_eq!(claim_books(&test.db, at(1), LEASE).await, [book(ONE)]);
    test.close().await;
}

/// And the other way round: what settles first takes the row away, what stores afterwards puts it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_waits_for_the_settling_that_takes_the_row_away() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    assert_eq!(apply_batch(&test.db, book(ONE), at(0)).await, ["evt_1"]);
    let settling = test.hold(ONE, |tx| Box::pin(inbox::settle(tx))).await;
    let db = test.db.clone();
    let storing = tokio::spawn(async move { store(&db, book(ONE), &event("evt_2"), at(1)).await });
    test.until_sessions_wait_for_a_lock(1).await;
    settling.release().await;
    assert_eq!(storing.await.expect("no panic"), Stored::New);
    assert_eq!(claim_books(&test.db, at(1), LEASE).await, [book(ONE)]);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_batch_nor_another_store_delays_a_store() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    let claiming = test.hold(ONE, |tx| Box::pin(async move { inbox::claim_due(tx, 10, at(0)).await })).await;
    let storing = test.hold(ONE, |tx| Box::pin(async move { inbox::store(tx, &event("evt_2"), at(1)).await })).await;
    // Would fail after the lock timeout if it had to wait for either.
    assert_eq!(store(&test.db, book(ONE), &event("evt_3"), at(1)).await, Stored::New);
    assert_eq!(store(&test.db, book(ONE), &event("evt_1"), at(1)).await, Stored::Duplicate);
    // Another worker passes over what is held.
    assert_eq!(apply_batch(&test.db, book(ONE), at(1)).await, ["evt_3"]);
    storing.release().await;
    claiming.release().await;
    test.close().await;
}

/// Many deliveries and several workers at once: everything is applied, once, and no book is left due or forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_event_is_applied_once() {
    const BOOKS: i32 = 3;
    const SENDERS: usize = 8;
    const EVENTS: usize = 10;
    let test = TestDb::create().await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let db = test.db.clone();
            tokio::spawn(async move {
                for number in 0..EVENTS {
                    for book_number in 1..=BOOKS {
                        let new = event(&format!("evt_{sender}_{number}"));
                        store(&db, book(book_number), &new, at(0)).await;
                        store(&db, book(book_number), &new, at(0)).await;
                    }
                }
            })
        })
        .collect();
    let expected = SENDERS * EVENTS * usize::try_from(BOOKS).expect("a small number");
    let total = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (db, total) = (test.db.clone(), total.clone());
            tokio::spawn(async move {
                let mut applied = Vec::new();
                // A forgotten book would be claimed by nobody, and this would not end.
                while total.load(std::sync::atomic::Ordering::SeqCst) < expected {
                    for claimed in claim_books(&db, at(0), LEASE).await {
                        let batch = apply_batch(&db, claimed, at(0)).await;
                        settle(&db, claimed).await;
                        total.fetch_add(batch.len(), std::sync::atomic::Ordering::SeqCst);
                        applied.extend(batch.into_iter().map(|id| (claimed, id)));
                    }
                    tokio::task::yield_now().await;
                }
                applied
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("no panic");
    }
    let mut applied = Vec::new();
    for worker in workers {
        applied
            .extend(tokio::time::timeout(Duration::from_mins(1), worker).await.expect("forgotten").expect("no panic"));
    }
    let distinct: BTreeSet<_> = applied.iter().cloned().collect();
    assert_eq!((applied.len(), distinct.len()), (expected, expected));
    for number in 1..=BOOKS {
        assert_eq!(settle(&test.db, book(number)).await, None);
    }
    test.close().await;
}

#[tokio::test]
async fn another_book_s_events_are_out_of_reach() {
    let test = TestDb::create().await;
    store(&test.db, book(1), &event("evt_1"), at(0)).await;
    assert_eq!(number(&test.db, Scope::Book(book(2)), "select count(*) from inbox_events").await, 0);
    assert_eq!(apply_batch(&test.db, book(2), at(9)).await, Vec::<String>::new());
    let of_two = Scope::Book(book(2));
    let update = "update inbox_events set state = 'ignored' where book_id = 1";
    assert_eq!(run_sql(&test.db, of_two, update).await.expect("touches no row"), 0);
    let insert = "insert into inbox_events
        (book_id, provider, event_id, kind, livemode, created_at, raw, masked, next_attempt_at)
        values (1, 'stripe', 'evt_2', 'a.b', false, now(), '{}', false, now())";
    assert!(run_sql(&test.db, of_two, insert).await.is_err());
    assert!(run_sql(&test.db, Scope::Routing, "select count(*) from inbox_events").await.is_err());
    let outside = test.db.run_tx("outside", Scope::Routing, |tx| Box::pin(inbox::counts(tx))).await;
    assert!(matches!(outside, Err(InboxError::NoBook)));
    test.close().await;
}

#[tokio::test]
async fn the_application_can_neither_change_nor_remove_what_was_received() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    for sql in [
        "update inbox_events set raw = '{}'",
        "update inbox_events set event_id = 'evt_2'",
        "update inbox_events set livemode = true",
        "update inbox_events set state = 'applied', applied_at = now(), kind = 'other'",
        "delete from inbox_events",
        "truncate inbox_events",
        "drop table inbox_events",
        "alter table inbox_events disable trigger all",
        "alter table inbox_events no force row level security",
        "insert into inbox_event_transitions values ('applied', 'received')",
        "update incoming_webhook_secrets set token = 'another'",
        "update incoming_webhook_endpoints set book_id = 2",
        "delete from incoming_webhook_endpoints",
    ] {
        let refused = run_sql(&test.db, Scope::Book(book(ONE)), sql).await.expect_err(sql);
        assert_eq!(sql_state(&refused).as_deref(), Some("42501"), "{sql}: {refused:?}");
    }
    // Lawful for the role, unlawful for the event.
    apply_batch(&test.db, book(ONE), at(0)).await;
    for sql in ["update inbox_events set state = 'received', applied_at = null", "update inbox_events set attempts = 7"]
    {
        let refused = run_sql(&test.db, Scope::Book(book(ONE)), sql).await.expect_err(sql);
        assert_eq!(constraint(&refused), Some("inbox_events_transition_is_allowed"), "{sql}");
    }
    test.close().await;
}

#[tokio::test]
async fn not_even_the_owner_changes_or_removes_what_was_received() {
    let test = TestDb::create().await;
    store(&test.db, book(ONE), &event("evt_1"), at(0)).await;
    for (sql, constraint) in [
        ("update inbox_events set raw = '{}'", "inbox_events_content_is_fixed"),
        ("update inbox_events set received_at = now() - interval '1 day'", "inbox_events_content_is_fixed"),
        ("delete from inbox_events", "inbox_events_are_kept"),
        ("truncate inbox_events", "inbox_events_are_kept"),
    ] {
        assert_eq!(test.refused_to_owner(ONE, sql).await.as_deref(), Some(constraint), "{sql}");
    }
    test.close().await;
}
