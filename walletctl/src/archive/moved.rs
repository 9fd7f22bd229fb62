//! What is written and signed leaves the database, in short transactions beside whoever reads and writes.

use sqlx::PgConnection;

use super::{Archived, files::LineReader, folder::Folder, manifest::Manifest, record::Head, store};

/// Events that leave in one transaction: some tenths of a second.
const EVENTS: i64 = 5_000;
/// Wallets that are looked at together.
const WALLETS: usize = 500;

/// Goes on where it was: a wallet that has left is passed over.
pub(super) async fn move_away(
    connection: &mut PgConnection,
    folder: &Folder,
    manifest: &Manifest,
    archived: &mut Archived,
) -> anyhow::Result<()> {
    let mut heads = folder.heads(manifest)?;
    loop {
        let page = page(&mut heads)?;
        if page.is_empty() {
            return Ok(());
        }
        let wallets = Vec::from_iter(page.iter().map(|head| head.wallet_id));
        let reached = store::archived_to(connection, &wallets).await?;
        let mut parts = Vec::new();
        let mut room = EVENTS;
        for (head, mut at) in page.into_iter().zip(reached) {
            while at < head.last {
                let upto = head.last.min(at.saturating_add(room));
                parts.push((head, upto));
                room -= upto - at;
                at = upto;
                if room <= 0 {
                    leave(connection, &parts, archived).await?;
                    parts.clear();
                    room = EVENTS;
                }
            }
        }
        if !parts.is_empty() {
            leave(connection, &parts, archived).await?;
        }
    }
}

fn page(heads: &mut LineReader) -> anyhow::Result<Vec<Head>> {
    let mut page = Vec::with_capacity(WALLETS);
    while page.len() < WALLETS
        && let Some(head) = heads.next()?
    {
        page.push(head);
    }
    Ok(page)
}

/// Parts of wallets, together; and when one of them is not as it was written, each by itself.
async fn leave(
    connection: &mut PgConnection,
    parts: &[(Head, i64)],
    archived: &mut Archived,
) -> anyhow::Result<()> {
    match store::move_away(connection, archived.id, parts).await {
        Ok(moved) => {
            archived.moved += moved.unsigned_abs();
            Ok(())
        }
        Err(error) if is_of_data(&error) => {
            for part in parts {
                let alone = std::slice::from_ref(part);
                match store::move_away(connection, archived.id, alone).await {
                    Ok(moved) => archived.moved += moved.unsigned_abs(),
                    Err(error) if is_of_data(&error) => {
                        archived.leave(part.0.wallet_id, said(&error));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// `data_exception`: what the function of the database says of a wallet that is not as it was.
fn is_of_data(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.and_then(|error| error.code()).as_deref() == Some("22000")
}

fn said(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
