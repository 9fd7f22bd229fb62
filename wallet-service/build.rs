//! The migrations are in the binary: a new file among them must build it again, which `sqlx::migrate!` alone does not see.

#[expect(
    clippy::print_stdout,
    reason = "it is how a build script speaks to cargo"
)]
fn main() {
    println!("cargo::rerun-if-changed=../migrations/wallet");
}
