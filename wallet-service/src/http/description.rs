//! How wallets are described, and what is noted on anything: names, labels and notes, with the same rules wherever they are.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use shared::{
    WalletId,
    problem::{Code, Problem},
    server::{
        headers::IfMatch,
        request::{Fields, FromFields, JsonFields, Judged, PathId, TextMapLimits, parse},
    },
};

use super::{
    command::submit_judged,
    context::{Api, CommandContext},
    response, size,
};
use crate::ledger::{Intent, model::description::DescriptionChange};

/// In characters.
pub(super) const EXTERNAL_ID_LENGTH_MAX: usize = 128;
/// In characters.
const LABEL_LENGTH_MAX: usize = 128;
/// The caller's own name of a wallet.
pub(super) fn external_id(fields: &mut Fields) -> Option<String> {
    fields
        .says(
            "The caller's own name of the wallet: each caller gives a name to one wallet at most.",
        )
        .optional_by_rule(
            "external_id",
            parse::any_text(EXTERNAL_ID_LENGTH_MAX),
            parse::text_rule(EXTERNAL_ID_LENGTH_MAX),
        )
}

/// What people read about a wallet.
pub(super) fn label(fields: &mut Fields) -> Option<String> {
    fields
        .says("What people read about the wallet.")
        .optional_by_rule(
            "label",
            parse::any_label(LABEL_LENGTH_MAX),
            parse::label_rule(LABEL_LENGTH_MAX),
        )
}

/// The caller's notes.
pub(super) fn metadata(fields: &mut Fields) -> BTreeMap<String, String> {
    fields
        .says("The caller's own notes; a value of `null` is not given.")
        .text_map("metadata", TextMapLimits::METADATA)
}

/// `{label?, metadata?}`: what is not named stays, what is `null` goes.
pub(super) struct DescriptionBody(DescriptionChange);

impl FromFields for DescriptionBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let label = fields
            .says("What people read about the wallet; it goes when it is `null`.")
            .patch_by_rule(
                "label",
                parse::any_label(LABEL_LENGTH_MAX),
                parse::label_rule(LABEL_LENGTH_MAX),
            );
        let metadata = fields
            .says(
                "The caller's own notes: each key that is named gets its value, or goes when that is `null`; all go when \
                 this is.",
            )
            .patch_text_map("metadata", TextMapLimits::METADATA);
        if label.is_keep() && metadata.is_keep() && fields.errors().is_empty() {
            let message = "is required, unless metadata is given";
            fields.reject("label", Code::MissingField, message);
        }
        Some(Self(DescriptionChange { label, metadata }))
    }
}

pub(super) async fn update(
    State(api): State<Arc<Api>>,
    PathId(wallet_id): PathId<WalletId>,
    if_match: Option<IfMatch>,
    context: CommandContext,
    JsonFields(body): JsonFields,
) -> Result<Response, Problem> {
    let Judged { value, mut errors } = body.judge(DescriptionBody::from_fields)?;
    let DescriptionBody(change) = value;
    let intent = Intent::UpdateWallet { wallet_id, change };
    errors.extend(size::too_large(&intent, &api.message_limit));
    let command = context.command(intent, if_match);
    let caller = Arc::clone(&command.caller);
    let outcome = submit_judged(&api, command, errors).await?;
    Ok(response::of_command(&outcome, &caller))
}
