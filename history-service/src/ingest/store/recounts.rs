//! The sums of reports, counted anew.

use std::time::Duration;

use shared::{WalletId, server::postgres::HistoryLock};
use sqlx::PgConnection;

/// For whom the sums are counted anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::ingest) struct Asked {
    /// Orders that are done but for this.
    rebuilds: Vec<i64>,
    /// How often it was asked for by whoever brought rows back.
    asked: i64,
}

/// Orders whose wallets are all done with, and whose sums are not.
macro_rules! DUE_REBUILDS {
    () => {
        "select id from rebuilds \
         where finished_at is not null and recounted_at is null \
           and not exists (select from refills where rebuilds.id = any (refills.rebuild_ids))"
    };
}

/// Asks for it, for rows that may have been counted before or not. The transaction's last statement but for the commit: who asks
/// holds the one row.
pub(in crate::ingest) async fn ask(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("update recount_state set asked = asked + 1, asked_at = clock_timestamp()")
        .execute(connection)
        .await
        .map(drop)
}

/// Whether it is time: at once for an order, and for what came back by itself when nothing has for so long. What is missing still,
/// and was counted when it was written, would be counted out, and not be counted when it comes.
pub(in crate::ingest) async fn is_due(
    connection: &mut PgConnection,
    calm: Duration,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(concat!(
        "select exists (",
        DUE_REBUILDS!(),
        ") or exists ( \
             select from recount_state \
             where asked > done and asked_at < clock_timestamp() - make_interval(secs => $1) \
         )"
    ))
    .bind(calm.as_secs_f64())
    .fetch_one(connection)
    .await
}

/// Whether this session is the one that counts, from here to its end.
pub(in crate::ingest) async fn claim(connection: &mut PgConnection) -> sqlx::Result<bool> {
    HistoryLock::Recount.try_own_in_session(connection).await
}

/// Before it is counted: who asks from here on is not done with it.
pub(in crate::ingest) async fn asked(connection: &mut PgConnection) -> sqlx::Result<Asked> {
    let (rebuilds, asked) = sqlx::query_as(concat!(
        "select array(",
        DUE_REBUILDS!(),
        "), asked from recount_state"
    ))
    .fetch_one(connection)
    .await?;
    Ok(Asked { rebuilds, asked })
}

/// Has the months summed up anew of wallets where they are not what their events come to. Says of how many.
pub(in crate::ingest) async fn recount_months(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let wrong: Vec<WalletId> = sqlx::query_scalar(
        "with of_events as ( \
             select upto.wallet_id, date_trunc('month', event.occurred_at at time zone 'UTC')::date as month, event.kind, \
                    count(*)::numeric as events, sum(greatest(event.amount::numeric, 0)) as credits, \
                    sum(greatest(-event.amount::numeric, 0)) as debits \
             from wallet_months_to as upto \
             cross join lateral ( \
                 select occurred_at, kind, amount from events \
                 where events.wallet_id = upto.wallet_id and events.sequence <= upto.sequence \
             ) as event \
             group by 1, 2, 3 \
         ) \
         select distinct wallet_id \
         from wallet_months as counted \
         full join of_events using (wallet_id, month, kind) \
         where (coalesce(counted.events, 0), coalesce(counted.credits, 0), coalesce(counted.debits, 0)) \
            <> (coalesce(of_events.events, 0), coalesce(of_events.credits, 0), coalesce(of_events.debits, 0)) \
         order by wallet_id",
    )
    .fetch_all(&mut *connection)
    .await?;
    for wallet in &wrong {
        // Each by itself: nobody sets events aside while one is forgotten.
        sqlx::query("select recount_months($1)")
            .bind(wallet)
            .execute(&mut *connection)
            .await?;
    }
    Ok(i64::try_from(wrong.len()).unwrap_or(i64::MAX))
}

/// Counts every event, in the caller's transaction. Says how many sums were wrong.
pub(in crate::ingest) async fn recount(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("select recount_reports()")
        .fetch_one(connection)
        .await
}

/// It is counted, for those who had asked before.
pub(in crate::ingest) async fn finish(
    connection: &mut PgConnection,
    asked: &Asked,
    mended: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "with told as ( \
             update rebuilds set recounted_at = clock_timestamp(), totals_mended = $2 where id = any ($1) \
         ) \
         update recount_state set done = $3",
    )
    .bind(&asked.rebuilds)
    .bind(mended)
    .bind(asked.asked)
    .execute(connection)
    .await
    .map(drop)
}
