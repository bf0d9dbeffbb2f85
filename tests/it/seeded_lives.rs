//! Which lives of `life_stories.rs` are lived: those of two hundred fixed seeds with the other tests; more by hand:
//! `PARTITA_STORIES=1000..2000 cargo test --workspace --test it -- --ignored --nocapture as_many_lives_as_asked`.

use std::ops::Range;

use crate::life_stories::live;

/// Lives the lives of a range of seeds.
async fn live_through(seeds: Range<u64>) {
    let (mut lives, mut told) = (0, 0);
    for seed in seeds {
        told += live(seed).await.len();
        lives += 1;
    }
    assert!(told > 8 * lives, "something happens: {told} lines in {lives} lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_0_to_24_add_up_whatever_happens_in_whatever_order() {
    live_through(0..25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_25_to_49_add_up_whatever_happens_in_whatever_order() {
    live_through(25..50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_50_to_74_add_up_whatever_happens_in_whatever_order() {
    live_through(50..75).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_75_to_99_add_up_whatever_happens_in_whatever_order() {
    live_through(75..100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_100_to_124_add_up_whatever_happens_in_whatever_order() {
    live_through(100..125).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_125_to_149_add_up_whatever_happens_in_whatever_order() {
    live_through(125..150).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_150_to_174_add_up_whatever_happens_in_whatever_order() {
    live_through(150..175).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_175_to_199_add_up_whatever_happens_in_whatever_order() {
    live_through(175..200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes as long as is asked"]
#[expect(clippy::print_stdout, reason = "who asks for lives wants to read them")]
async fn as_many_lives_as_asked() {
    let asked = std::env::var("PARTITA_STORIES").expect("PARTITA_STORIES=FROM..TO");
    let (from, to) = asked.split_once("..").expect("FROM..TO");
    let (from, to): (u64, u64) = (from.parse().expect("a number"), to.parse().expect("a number"));
    for seed in from..to {
        println!("{}\nadds up", live(seed).await.join("\n"));
    }
}
