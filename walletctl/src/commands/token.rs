//! `token` and `key`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use serde_json::json;
use shared::{
    Timestamp,
    server::auth::mint::{MintKey, NewKeyPair, NewToken},
};

use super::Outcome;
use crate::{
    cli::{Key, Options, SigningKey, Token},
    output,
};

/// Read and written by its owner alone.
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

pub(super) fn token(options: &Options, token: &Token) -> anyhow::Result<Outcome> {
    let Token {
        subject,
        scope,
        act_for,
        expires_in,
        issuer,
        audience,
        key,
    } = token;
    let new = NewToken {
        issuer: issuer.clone().context("no issuer")?,
        audience: audience.clone().context("no audience")?,
        subject: subject.clone(),
        scopes: scope.iter().copied().collect(),
        act_for: act_for.clone(),
        lasts: *expires_in,
    };
    let now = Timestamp::now();
    let minted = signing_key(key)?.mint(&new, now)?;
    let mut out = io::stdout().lock();
    if options.json {
        let expires_at = Timestamp::from(now.utc() + *expires_in);
        let document = json!({"token": minted, "expires_at": expires_at});
        output::document(&mut out, document.to_string().as_bytes())?;
    } else {
        writeln!(out, "{minted}")?;
    }
    Ok(Outcome::Success)
}

fn signing_key(key: &SigningKey) -> anyhow::Result<MintKey> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (path, made) = match (&key.key_file, &key.secret_file) {
        (Some(path), _) => (path, MintKey::of_pem(&read(path)?)),
        (None, Some(path)) => (path, MintKey::of_secret(read(path)?.trim_end())),
        (None, None) => anyhow::bail!("give --key-file or --secret-file"),
    };
    made.with_context(|| format!("{} cannot be used", path.display()))
}

pub(super) fn key(options: &Options, key: &Key) -> anyhow::Result<Outcome> {
    let pair = NewKeyPair::generate()?;
    write_new(&key.private, PRIVATE, &pair.private)?;
    write_new(&key.public, PUBLIC, &pair.public)?;
    let (private, public) = (key.private.display(), key.public.display());
    let mut out = io::stdout().lock();
    if options.json {
        let document = json!({"private": private.to_string(), "public": public.to_string()});
        output::document(&mut out, document.to_string().as_bytes())?;
    } else {
        writeln!(
            out,
            "private key  {private}   for walletctl token --key-file"
        )?;
        writeln!(out, "public key   {public}   for AUTH_PUBLIC_KEY_FILE")?;
    }
    Ok(Outcome::Success)
}

/// What is there already may be in use, and is never written over.
fn write_new(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
