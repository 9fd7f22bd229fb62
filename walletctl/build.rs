//! Tells the tool which commit it is built from, for its reports: `GIT_COMMIT` where the build sets it, otherwise what the
//! checkout says. Git itself is not needed, and without a checkout there is no commit to tell.
//!
//! Only where it matters: a build for tests would be made again after every commit.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo talks to a build script by its environment and its output"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const GIVEN: &str = "GIT_COMMIT";
/// Enough to find it, short enough to read.
const SHOWN: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={GIVEN}");
    let given = env::var(GIVEN).ok().filter(|given| !given.is_empty());
    let released = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = given.or_else(|| released.then(checked_out).flatten());
    let shown: String = commit.unwrap_or_default().chars().take(SHOWN).collect();
    println!("cargo::rustc-env=WALLETCTL_COMMIT={shown}");
}

/// The commit of the folder that holds this crate.
fn checked_out() -> Option<String> {
    let mut git = Path::new(&env::var("CARGO_MANIFEST_DIR").ok()?).join("../.git");
    // In a further worktree it is a file that names the folder.
    if let Ok(text) = fs::read_to_string(&git) {
        git = PathBuf::from(text.strip_prefix("gitdir:")?.trim());
    }
    let common = match read(&git.join("commondir")) {
        Some(common) => git.join(common),
        None => git.clone(),
    };
    let head = read(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return Some(head);
    };
    let packed = || {
        let packed = read(&common.join("packed-refs"))?;
        let line = packed
            .lines()
            .find(|line| line.ends_with(&format!(" {name}")))?;
        Some(line.split(' ').next()?.to_owned())
    };
    read(&common.join(name)).or_else(packed)
}

/// What a file holds; the build is made again when that changes.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text.trim().to_owned())
}
