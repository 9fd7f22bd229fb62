//! What a transfer writes, made with the contract's own types: the two events with their hashes.
//!
//! The baselines write these rows, so that they carry what the service carries.

use chrono::{DateTime, Utc};
use shared::{
    Balance, Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId,
    event::{Details, EventBody, Movement, SCHEMA_VERSION, WalletEvent},
    money::Change,
};
use uuid::Uuid;

/// Who asks, as wallet-service calls a caller without a name.
pub const OWNER: &str = "anonymous";

/// A wallet as far as a transfer needs it.
#[derive(Clone, Debug)]
pub struct Wallet {
    pub id: WalletId,
    pub user_id: UserId,
    pub currency: Currency,
    pub balance: i64,
    pub version: Sequence,
    pub head: Hash,
}

/// A transfer that was decided.
#[derive(Debug)]
pub struct Transfer {
    pub id: TransactionId,
    pub amount: i64,
    pub occurred_at: Timestamp,
    pub legs: [WalletEvent; 2],
}

/// Moves `amount`; nothing when the money is not there.
pub fn transfer(from: &mut Wallet, to: &mut Wallet, amount: i64) -> Option<Transfer> {
    if from.balance < amount {
        return None;
    }
    let call = Call {
        id: TransactionId::from_uuid(Uuid::now_v7()),
        occurred_at: Timestamp::now(),
        correlation_id: Uuid::now_v7().to_string(),
    };
    let sent = leg(
        from,
        EventBody::TransferSent(to_other(to.id)),
        -amount,
        &call,
    )?;
    let received = leg(
        to,
        EventBody::TransferReceived(to_other(from.id)),
        amount,
        &call,
    )?;
    Some(Transfer {
        id: call.id,
        amount,
        occurred_at: call.occurred_at,
        legs: [sent, received],
    })
}

/// An event as columns. The statement says the schema's version; the owner and the currency are the wallet's.
pub struct EventRow<'event> {
    pub wallet_id: Uuid,
    pub sequence: i64,
    pub event_id: Uuid,
    pub kind: &'static str,
    pub transaction_id: Option<Uuid>,
    pub amount: Option<i64>,
    pub balance_after: i64,
    pub occurred_at: DateTime<Utc>,
    pub actor: &'event str,
    pub correlation_id: Option<&'event str>,
    pub data: String,
    pub hash: &'event [u8],
}

impl<'event> EventRow<'event> {
    pub fn of(event: &'event WalletEvent) -> Self {
        let WalletEvent {
            event_id,
            schema_version: _,
            wallet_id,
            user_id: _,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            subject: _,
            correlation_id,
            currency: _,
            amount,
            balance_after,
            held_after: _,
            body,
            prev_hash: _,
            hash,
        } = event;
        Self {
            wallet_id: wallet_id.uuid(),
            sequence: sequence.get(),
            event_id: event_id.uuid(),
            kind: body.kind().as_str(),
            transaction_id: transaction_id.map(TransactionId::uuid),
            amount: amount.map(Change::minor),
            balance_after: balance_after.minor(),
            occurred_at: occurred_at.utc(),
            actor,
            correlation_id: correlation_id.as_deref(),
            data: event.data_json(),
            hash: hash.as_bytes(),
        }
    }
}

struct Call {
    id: TransactionId,
    occurred_at: Timestamp,
    correlation_id: String,
}

fn to_other(counterparty_wallet_id: WalletId) -> Movement {
    Movement {
        counterparty_wallet_id,
        leg_count: 2,
        details: Details::default(),
    }
}

fn leg(wallet: &mut Wallet, body: EventBody, change: i64, call: &Call) -> Option<WalletEvent> {
    wallet.balance = wallet.balance.checked_add(change)?;
    wallet.version = wallet.version.next();
    let event = WalletEvent {
        event_id: EventId::from_uuid(Uuid::now_v7()),
        schema_version: SCHEMA_VERSION,
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        sequence: wallet.version,
        transaction_id: Some(call.id),
        occurred_at: call.occurred_at,
        actor: OWNER.to_owned(),
        subject: None,
        correlation_id: Some(call.correlation_id.clone()),
        currency: wallet.currency,
        amount: Change::try_new(change),
        balance_after: Balance::new(wallet.balance),
        held_after: Balance::ZERO,
        body,
        prev_hash: wallet.head,
        hash: Hash::ZERO,
    }
    .sealed();
    wallet.head = event.hash;
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wallet(number: u128, balance: i64) -> Wallet {
        Wallet {
            id: WalletId::from_uuid(Uuid::from_u128(number)),
            user_id: "alice".parse().unwrap(),
            currency: "USD".parse().unwrap(),
            balance,
            version: Sequence::FIRST,
            head: Hash::ZERO,
        }
    }

    #[test]
    fn a_transfer_moves_money_and_chains_both_wallets() {
        let (mut from, mut to) = (wallet(1, 500), wallet(2, 0));
        let first = transfer(&mut from, &mut to, 200).unwrap();
        let second = transfer(&mut from, &mut to, 300).unwrap();
        assert_eq!((from.balance, to.balance), (0, 500));
        for side in 0..2 {
            assert_eq!(second.legs[side].prev_hash, first.legs[side].hash);
            assert_eq!(second.legs[side].sequence.get(), 3);
            assert!(WalletEvent::from_json(&second.legs[side].to_json()).is_ok());
        }
        assert!(transfer(&mut from, &mut to, 1).is_none());
    }
}
