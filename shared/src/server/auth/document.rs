//! Documents that are signed with a key of one's own, each a compact JWS.
//!
//! Its header says of which kind a document is, so that none is taken for another, and none for a token.

use jsonwebtoken::{Header, Validation, decode, decode_header, encode};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    keys::KeySet,
    mint::{MintError, MintKey},
    provider::SigningAlgorithm,
};

/// Why a document is not what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotGenuine {
    #[error("it is no signed document")]
    Malformed,
    #[error("it is a signed document of another kind")]
    OtherKind,
    #[error("it was not signed with this key, or was changed since")]
    OtherSignature,
}

/// # Errors
/// When the key is of a kind, or a length, that does not sign.
pub fn sign(key: &MintKey, kind: &str, document: &impl Serialize) -> Result<String, MintError> {
    let algorithm = SigningAlgorithm::of(key.0.family()).named();
    let header = Header {
        typ: Some(kind.to_owned()),
        ..Header::new(algorithm)
    };
    encode(&header, document, &key.0).map_err(|_| MintError::Signing)
}

/// What a document says, when it was signed with one of these keys.
///
/// # Errors
/// When it was not, or is of another kind.
pub fn open<Document: DeserializeOwned>(
    keys: &KeySet,
    kind: &str,
    text: &str,
) -> Result<Document, NotGenuine> {
    let header = decode_header(text).map_err(|_| NotGenuine::Malformed)?;
    if header.typ.as_deref() != Some(kind) {
        return Err(NotGenuine::OtherKind);
    }
    let key = keys.find(header.kid.as_deref());
    let key = key.ok_or(NotGenuine::OtherSignature)?;
    let mut validation = Validation::new(key.algorithm());
    // It is no token: it has no end, and is for nobody in particular.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let opened = decode::<Document>(text, key.material(), &validation);
    Ok(opened.map_err(|_| NotGenuine::OtherSignature)?.claims)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::server::auth::mint::NewKeyPair;

    #[test]
    fn a_document_is_opened_with_its_key_under_its_kind_and_not_otherwise() {
        let pair = NewKeyPair::generate().unwrap();
        let key = MintKey::of_pem(&pair.private).unwrap();
        let said = json!({"files": ["a"], "exp": 1});
        let text = sign(&key, "a+jws", &said).unwrap();
        let keys = KeySet::of_pem(&pair.public).unwrap();
        assert_eq!(open::<Value>(&keys, "a+jws", &text), Ok(said));
        assert_eq!(
            open::<Value>(&keys, "b+jws", &text),
            Err(NotGenuine::OtherKind)
        );
        let other = KeySet::of_pem(&NewKeyPair::generate().unwrap().public).unwrap();
        assert_eq!(
            open::<Value>(&other, "a+jws", &text),
            Err(NotGenuine::OtherSignature)
        );
        let other = sign(&key, "a+jws", &json!({"files": ["b"], "exp": 1})).unwrap();
        let (_, signature) = text.rsplit_once('.').unwrap();
        let (body, _) = other.rsplit_once('.').unwrap();
        assert_eq!(
            open::<Value>(&keys, "a+jws", &format!("{body}.{signature}")),
            Err(NotGenuine::OtherSignature)
        );
        assert_eq!(
            open::<Value>(&keys, "a+jws", "a text"),
            Err(NotGenuine::Malformed)
        );
    }
}
