//! Many readers at once.

use futures::future::{join_all, try_join_all};
use history_service::history::live::StreamSettings;
use shared::event::WalletEvent;

use super::{Reader, with_streams};
use crate::{chain::Chain, harness::World};

/// More than connections to the database, by far.
const READERS: usize = 240;

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_are_each_told_everything_once() {
    let world = World::new().await;
    let instance = with_streams(&world, StreamSettings::default()).await;
    let journals: Vec<Vec<WalletEvent>> = (0..READERS / 2)
        .map(|number| Chain::new(&format!("user-{number}")).journal(6))
        .collect();
    world
        .publish(journals.iter().map(|journal| &journal[0]))
        .await;
    for journal in &journals {
        instance.until_applied(&journal[0]).await;
    }
    // Half of them follow a wallet each, half all the same one.
    let of = |journal: &[WalletEvent]| format!("/wallets/{}/stream", journal[0].wallet_id);
    let own = journals.iter().map(|journal| of(journal));
    let same = std::iter::repeat_n(of(&journals[0]), READERS / 2);
    let paths: Vec<String> = own.chain(same).collect();
    let opening = paths.iter().map(|path| Reader::now(instance.address, path));
    let mut readers = join_all(opening).await;
    for number in 1..6 {
        world
            .publish(journals.iter().map(|journal| &journal[number]))
            .await;
    }
    let reading = readers.iter_mut().map(async |reader| {
        let told = reader.sequences(5).await;
        (told == [2, 3, 4, 5, 6]).then_some(()).ok_or(told)
    });
    try_join_all(reading).await.unwrap();
    instance.stop().await;
}
